import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { gzipSync } from "node:zlib";

const root = new URL("../", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("package.json", root)));
const shipped = [...new Set(Object.values(manifest.exports).flatMap((paths) => Object.values(paths)))];

it("weighs less than 5 kB, all that is exported together, types included", () => {
  assert.equal(shipped.length, 4);
  const sizes = shipped.map((path) => [path, gzipSync(readFileSync(new URL(path, root)), { level: 9 }).length]);
  const total = sizes.reduce((sum, [, size]) => sum + size, 0);
  assert.ok(total < 5_000, `${total} bytes: ${sizes.join(", ")}`);
});

it("ships what it exports, and depends on nothing", () => {
  assert.deepEqual(manifest.files.map((path) => `./${path}`).sort(), shipped.sort());
  const needs = Object.keys(manifest).filter((key) => key.toLowerCase().includes("dependencies"));
  assert.deepEqual(needs, []);
});

it("is imported on a server, which has no DOM", () => {
  const script = `
    for (const name of ["HTMLElement", "customElements", "document", "window", "CSSStyleSheet"]) {
      if (name in globalThis) throw new Error(name);
    }
    const { connect } = await import("typing-dots");
    const { TypingDots } = await import("typing-dots/element");
    console.log(typeof connect, typeof TypingDots);`;
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, encoding: "utf8" });
  assert.equal(said, "function function\n");
});

it("has no markup, no inline style and no code from text", () => {
  const element = readFileSync(new URL("element.js", root), "utf8") + readFileSync(new URL("client.js", root), "utf8");
  assert.doesNotMatch(element, /innerHTML|outerHTML|insertAdjacentHTML|"style"|\.style\b|eval\(|new Function/);
});
