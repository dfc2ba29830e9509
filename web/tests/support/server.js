// typingd itself, each time as a process of its own on a port of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const ROOT = resolve(import.meta.dirname, "../../..");
export const PROGRAM = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", "debug/typingd");
const STARTS_IN_MS = 30_000;

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Runs typingd until it has said where it serves, in the first line that `address` finds something in. */
const launch = async (args, stream, address) => {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build -p typingd --locked`);
  const child = spawn(PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  const exited = once(child, "exit").then(() => running.delete(child));
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  child.stdout.on("data", () => {});
  const said = new Promise((done) => {
    createInterface(child[stream]).on("line", (line) => {
      const found = line.match(address);
      if (found) done(found[1]);
    });
  });
  const timer = new AbortController();
  const late = new Promise((_, fail) => {
    const expire = setTimeout(() => fail(new Error(`typingd does not start\n${log}`)), STARTS_IN_MS);
    timer.signal.addEventListener("abort", () => clearTimeout(expire));
  });
  const ended = exited.then(() => Promise.reject(new Error(`typingd ended at its start\n${log}`)));
  ended.catch(() => {});
  const at = await Promise.race([said, ended, late]);
  timer.abort();
  return {
    at,
    /** Ends the process and waits until it is gone. */
    async end(signal) {
      child.kill(signal);
      await exited;
    },
  };
};

const serverOf = async (launchAt, clean = () => {}) => {
  let process = await launchAt("127.0.0.1:0");
  const server = {
    at: process.at,
    url: `http://${process.at}`,
    end: (signal = "SIGKILL") => process.end(signal),
    /** Starts it anew where it was, with nothing of what it knew. */
    async again() {
      process = await launchAt(server.at);
    },
    async close() {
      await process.end("SIGKILL");
      await clean();
    },
  };
  return server;
};

/** Dev mode, with flags such as `{ "pinnacle-ttl-ms": 2000 }`. */
export const dev = (flags = {}) => {
  const given = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return serverOf((listen) => launch(["dev", "--listen", listen, ...given], "stdout", /http:\/\/([\d.:]+)/));
};

/** Serve mode, with a configuration to which addresses and secrets are added. */
export const serve = async (toml) => {
  const directory = await mkdtemp(join(tmpdir(), "typingd-web-"));
  const file = join(directory, "typingd.toml");
  const start = async (listen) => {
    const head = `[listen]\naddress = "${listen}"\n[operators]\naddress = "127.0.0.1:0"\n[keys]\npepper = "${"5a".repeat(32)}"\n`;
    await writeFile(file, head + toml);
    return launch(["serve", "--config", file, "--log-format", "json"], "stderr", /"serving","address":"([^"]+)"/);
  };
  return serverOf(start, () => rm(directory, { recursive: true }));
};
