// How soon is soon, and how late is late. Each allowance grows by how late the page's own timers were.
import assert from "node:assert/strict";

const SOON_MS = 1000;
const LATE_MS = 300;
// Times are told in whole milliseconds, by two processes.
const ROUNDING_MS = 20;

/** The dots came soon after the call. */
export const assertAppearedSoon = async (t, view, { on }, { asked }) => {
  const took = on - asked;
  t.diagnostic(`shown ${took} ms after the call was made`);
  assert.ok(took < SOON_MS + (await view.lateness()), `shown only after ${took} ms`);
};

/** The dots went at the moment that the call's answer told, and no earlier. */
export const assertEndedOnTime = async (t, view, { on, off }, { endsBetween: [from, to], lasts }) => {
  const lateness = await view.lateness();
  t.diagnostic(`shown for ${off - on} ms, hidden ${off - to} ms after the end of ${lasts} ms; the page's timers were up to ${lateness} ms late`);
  assert.ok(off >= from - ROUNDING_MS, `hidden ${from - off} ms too early`);
  assert.ok(off <= to + LATE_MS + lateness, `hidden ${off - to} ms too late`);
};
