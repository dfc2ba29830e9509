import assert from "node:assert/strict";
import { test } from "node:test";
import { answers, line } from "./explain.js";

const say = {
  who: ({ participant, composer }) => participant ?? composer,
  wall: (time) => time.slice(11, 19),
  duration: (ms) => `${Math.round(ms / 1000)} s`,
};

const text = (phrase) => phrase.map((part) => part.name ?? part).join("");

const explain = ({ leases = [], timeline = [] }, elapsed = 0) =>
  answers({ leases, timeline, since_ms: 900_000 }, elapsed, say).map(({ composer, on, sentence }) => [composer, on, text(sentence)]);

const lease = (more) => ({
  composer: "agent",
  started_at: "2026-01-02T12:03:04.000Z",
  expires_at: "2026-01-02T12:03:24.000Z",
  remaining_ms: 15_000,
  origin: "pinnacle",
  ...more,
});
const signal = (ago_ms, more) => ({ kind: "signal", signal: "composing", door: "pinnacle", decision: "started", composer: "agent", ago_ms, times: 1, last_ago_ms: ago_ms, ...more });
const stopped = (ago_ms, reason, more) => ({ kind: "change", change: "stopped", composer: "agent", ago_ms, reason, ...more });

test("a lease is on, and the door that spoke last vouches for it", () => {
  const timeline = [signal(5000), signal(1000, { door: "native", decision: "extended" })];
  assert.deepEqual(explain({ leases: [lease()], timeline }), [
    ["agent", true, "On: agent has been typing since 12:03:04, vouched for by the native API, until 12:03:24 unless repeated."],
  ]);
});

test("a webhook that vouches for a lease is named by whose it is", () => {
  for (const [door, origin, expected] of [
    ["webhook", "pinnacle-webhook", "Pinnacle's webhook"],
    ["webhook", "rbm-webhook", "Google RBM's webhook"],
    ["webhook", "native", "a provider's webhook"],
    [undefined, "kaleyra-webhook", "Kaleyra's webhook"],
  ]) {
    const timeline = door ? [signal(1000, { door })] : [];
    assert.ok(explain({ leases: [lease({ origin })], timeline })[0][2].includes(`vouched for by ${expected}, until`), expected);
  }
});

test("several who type are all named", () => {
  const leases = [lease({ participant: "Ada", remaining_ms: 9000 }), lease({ participant: "Grace" })];
  assert.match(explain({ leases })[0][2], /^On: Grace and Ada have been typing since/);
});

test("what ended it is said, and how long ago by now", () => {
  for (const [reason, expected] of [
    ["sent", "Off: ended 4 s ago by the message."],
    ["paused", "Off: stopped 4 s ago, without a message."],
    ["expired", "Off: ran out 4 s ago: nobody repeated it."],
    ["revoked", "Off: taken back 4 s ago: who vouched for it went away."],
    ["constructor", "Off: ended 4 s ago."],
  ]) {
    assert.deepEqual(explain({ timeline: [signal(9000), stopped(3000, reason)] }, 1000), [["agent", false, expected]]);
  }
});

test("a lease that has lapsed since is off without asking again", () => {
  assert.deepEqual(explain({ leases: [lease({ remaining_ms: 2000 })], timeline: [signal(18_000)] }, 5000), [
    ["agent", false, "Off: ran out 3 s ago: nobody repeated it."],
  ]);
});

test("a signal that was ignored after the end is the answer", () => {
  const late = signal(1000, { decision: "ignored", reason: "fenced" });
  assert.equal(explain({ timeline: [signal(9000), stopped(4000, "sent"), late] })[0][2], "Off: the signal was ignored 1 s ago: its turn was over.");
  const early = signal(6000, { decision: "ignored", reason: "fenced" });
  assert.equal(explain({ timeline: [early, signal(5000), stopped(4000, "sent")] })[0][2], "Off: ended 4 s ago by the message.");
});

test("a message while nobody typed, and silence", () => {
  const sent = signal(2000, { signal: "sent", decision: "ignored", reason: "nothing_live" });
  assert.equal(explain({ timeline: [sent] })[0][2], "Off: a message came 2 s ago while nobody was typing.");
  assert.deepEqual(explain({}), [["agent", false, "Off: nobody has typed in the last 15 minutes."]]);
});

test("the side that is on comes first, then the one heard last", () => {
  const user = { composer: "user" };
  const timeline = [signal(9000), stopped(1000, "sent"), signal(5000, user)];
  assert.deepEqual(explain({ leases: [lease(user)], timeline }).map(([composer]) => composer), ["user", "agent"]);
  assert.deepEqual(explain({ timeline: [...timeline, stopped(4000, "sent", user)] }).map(([composer]) => composer), ["agent", "user"]);
});

test("a line of the timeline", () => {
  assert.equal(text(line(signal(1), say.who).sentence), "agent types");
  assert.equal(line(signal(1, { decision: "ignored", reason: "duplicate" }), say.who).note, "ignored: it had been heard before");
  assert.equal(text(line(stopped(1, "expired"), say.who).sentence), "Dots off");
  assert.equal(line(stopped(1, "expired"), say.who).note, "ran out");
  assert.equal(text(line({ kind: "change", change: "refreshed", composer: "user" }, say.who).sentence), "Icon stays on");
});
