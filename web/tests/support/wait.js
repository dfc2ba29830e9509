// Waiting for what is to come, in place of sleeping.
import { setTimeout as pause } from "node:timers/promises";

const STEP_MS = 25;

/** Waits until `fn` gives something true, and gives it back. What is awaited is named in `what`. */
export const until = async (what, fn, { within = 20_000 } = {}) => {
  const deadline = Date.now() + within;
  let last;
  for (;;) {
    last = await fn();
    if (last) return last;
    if (Date.now() > deadline) throw new Error(`not within ${within} ms: ${what} (last seen: ${JSON.stringify(last)})`);
    await pause(STEP_MS);
  }
};
