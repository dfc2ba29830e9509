// `typingd hold`, as people run it from a shell.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { PINNACLE } from "./doors.js";
import { PROGRAM } from "./server.js";

/** Shows Pinnacle's agent typing while a command runs. It ends with the test. */
export const hold = (t, { url }, command) => {
  const { channel, agent, user } = PINNACLE;
  const child = spawn(PROGRAM, ["hold", "--channel", channel, "--agent", agent, "--user", user, "--", ...command], {
    env: { ...process.env, TYPINGD_URL: url, TYPINGD_API_KEY: "dev-api-key" },
    // A group of its own, so that the command goes with the test where the hold was killed.
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  const exited = once(child, "exit").then(([code]) => ({ code, at: Date.now(), said }));
  t.after(() => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has gone by itself.
    }
  });
  return { child, exited };
};
