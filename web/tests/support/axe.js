// What axe-core finds on a page. It comes in through the debugger rather than as a script tag, so the page's content
// security policy stays as it is.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails where axe finds something serious or critical. Of lesser findings it tells. */
export const assertAccessible = async (t, page, where) => {
  await page.evaluate(source);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, impact, help, nodes }) => {
    const places = nodes.map(({ target, any }) => `${target} ${any[0]?.message ?? ""}`);
    return `${impact}: ${id}: ${help}: ${places.join("; ")}`;
  });
  for (const finding of told) t.diagnostic(`${where}: ${finding}`);
  assert.ok(passes.length > 10, "axe has looked");
  assert.deepEqual(told.filter((finding) => /^(serious|critical)/.test(finding)), [], where);
};
