import assert from "node:assert/strict";
import { test } from "node:test";
import { answers, identity, line } from "./explain.js";

const say = {
  who: ({ participant, composer }) => participant ?? composer,
  wall: (time) => time.slice(11, 19),
  duration: (ms) => `${Math.round(ms / 1000)} s`,
};

const text = (phrase) => phrase.map((part) => part.name ?? part).join("");

const explain = ({ leases = [], timeline = [] }, elapsed = 0) =>
  answers({ leases, timeline, since_ms: 900_000, as_of: "2026-01-02T12:04:04.000Z" }, elapsed, say).map(({ composer, on, sentence }) => [composer, on, text(sentence)]);

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
const call = (ago_ms, verdict, more) => ({
  kind: "call",
  upstream: "pin-us",
  provider: "pinnacle",
  says: "composing",
  verdict,
  composer: "agent",
  ago_ms,
  ...(verdict !== "dropped" && { took_ms: 84 }),
  times: 1,
  last_ago_ms: ago_ms,
  ...more,
});
const refused = (ago_ms, reason, detail, more) => call(ago_ms, "refused", { reason, detail, ...more });

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

test("a line for each call to a provider", () => {
  const stop = { says: "paused" };
  for (const [entry, sentence, note] of [
    [call(1, "accepted", { provider: "kaleyra", upstream: "kaleyra-eu" }), "Told Kaleyra (kaleyra-eu): typing", "accepted in 84 ms"],
    [call(1, "accepted", { ...stop, took_ms: 1240 }), "Told Pinnacle (pin-us): stopped", "accepted in 1.2 s"],
    [call(1, "unanswered", { took_ms: 5000 }), "Told Pinnacle (pin-us): typing", "no answer in 5 s; it may have taken effect"],
    [refused(1, "credential", "401"), "Pinnacle (pin-us) refused: credential (401)", "nothing is sent until it works again"],
    [refused(1, "agent", "403 PERMISSION_DENIED", { provider: "rbm" }), "Google RBM (pin-us) refused: agent (403 PERMISSION_DENIED)", "nothing is sent for it for a while"],
    [refused(1, "recipient", "404", { provider: "salesforce", ...stop }), "Salesforce (pin-us) refused the stop: recipient (404)", "nothing is sent to it for a while"],
    [refused(1, "transient"), "Pinnacle (pin-us) refused: not now", "it may do better later"],
    [call(1, "dropped", { reason: "stale" }), "Not sent to Pinnacle (pin-us): typing", "it could not be sent in time"],
    [call(1, "dropped", { reason: "breaker" }), "Not sent to Pinnacle (pin-us): typing", "the credential is refused"],
    [call(1, "dropped", { reason: "quiet" }), "Not sent to Pinnacle (pin-us): typing", "the agent or the recipient was refused before"],
    [call(1, "dropped", { reason: "limit" }), "Not sent to Pinnacle (pin-us): typing", "too much was waiting"],
    [call(1, "dropped", { reason: "failed", ...stop }), "Not sent to Pinnacle (pin-us): stopped", "it was tried several times and did not get through"],
    [call(1, "dropped", { reason: "constructor", provider: "toString" }), "Not sent to toString (pin-us): typing", "constructor"],
  ]) {
    const told = line(entry, say.who);
    assert.deepEqual([text(told.sentence), told.note], [sentence, note]);
  }
});

test("the names in a line of a call are kept to themselves", () => {
  const { sentence } = line(call(1, "accepted", { upstream: "<b>", provider: "telegraph" }), say.who);
  assert.deepEqual(sentence.filter((part) => part.name), [{ name: "telegraph" }, { name: "<b>" }]);
});

test("dots that are on may not show where the provider did not take the last call", () => {
  const on = "On: agent has been typing since 12:03:04, vouched for by Pinnacle's door, until 12:03:24 unless repeated.";
  for (const [last, doubt] of [
    [call(11_000, "accepted"), ""],
    [refused(11_000, "credential", "401"), " The handset may not show it: Pinnacle refused the credential 12 s ago."],
    [refused(11_000, "agent", "403"), " The handset may not show it: Pinnacle refused the agent 12 s ago."],
    [refused(11_000, "recipient", "404"), " The handset may not show it: Pinnacle refused the recipient 12 s ago."],
    [refused(11_000, "transient", "429"), " The handset may not show it: Pinnacle refused it for now 12 s ago."],
    [call(11_000, "unanswered"), " The handset may not show it: Pinnacle gave no answer 12 s ago."],
    [call(11_000, "dropped", { reason: "breaker" }), " The handset may not show it: Pinnacle was not told 12 s ago: the credential is refused."],
  ]) {
    const timeline = [signal(20_000), call(19_000, "accepted"), last];
    assert.deepEqual(explain({ leases: [lease()], timeline }, 1000), [["agent", true, on + doubt]]);
  }
  const user = { composer: "user" };
  const desk = explain({ leases: [lease(user)], timeline: [refused(11_000, "recipient", "404", { ...user, provider: "salesforce" })] });
  assert.match(desk[0][2], / The desk may not show it: Salesforce refused the recipient 11 s ago\.$/);
});

test("the last call of each account counts, and of these dots alone", () => {
  const doubt = (timeline, leases = [lease()]) => explain({ leases, timeline })[0][2].match(/ (\w+ \w+) may not show it: .*/)?.[0] ?? "";
  const other = { upstream: "kaleyra-eu", provider: "kaleyra" };
  // A row that began before another may end after it.
  assert.equal(doubt([call(50_000, "accepted", { last_ago_ms: 1000 }), refused(9000, "transient", "429")]), "");
  assert.match(doubt([refused(50_000, "transient", "429", { last_ago_ms: 1000 }), call(9000, "accepted")]), /Pinnacle refused it for now 1 s ago/);
  // What came together stands in order.
  assert.equal(doubt([call(1000, "unanswered"), call(1000, "accepted")]), "");
  assert.match(doubt([refused(9000, "recipient", "404"), call(1000, "accepted", other)]), /Pinnacle refused the recipient 9 s ago\.$/);
  assert.match(doubt([refused(9000, "recipient", "404"), call(5000, "unanswered", other)]), /Kaleyra gave no answer 5 s ago\.$/);
  // The lease began a minute ago; what failed was about the dots before it.
  assert.equal(doubt([refused(60_001, "credential", "401")]), "");
  assert.match(doubt([refused(60_000, "credential", "401")]), /refused the credential/);
  const since = (started_at) => lease({ started_at });
  assert.match(doubt([refused(60_000, "credential", "401")], [since("2026-01-02T12:04:00.000Z"), lease()]), /refused the credential/, "since the first of them");
  // A stop says nothing of dots that are on, and a call about one side nothing of the other.
  assert.equal(doubt([refused(1000, "recipient", "404", { says: "paused" })]), "");
  assert.equal(doubt([refused(1000, "recipient", "404", { composer: "user" })]), "");
  assert.equal(explain({ timeline: [signal(9000), stopped(4000, "sent"), refused(1000, "recipient", "404")] })[0][2], "Off: ended 4 s ago by the message.");
});

test("a call is one entry however often it is repeated, and another with another result", () => {
  const first = { ...refused(9000, "agent", "403"), at: "2026-01-02T12:03:04.000Z" };
  assert.equal(identity({ ...first, ago_ms: 19_000, times: 3, last_ago_ms: 100, took_ms: 12 }), identity(first));
  for (const other of [
    { at: "2026-01-02T12:03:05.000Z" },
    { upstream: "pin-eu" },
    { says: "paused" },
    { verdict: "dropped" },
    { reason: "recipient" },
    { detail: "404" },
    { composer: "user" },
  ]) {
    assert.notEqual(identity({ ...first, ...other }), identity(first), JSON.stringify(other));
  }
  assert.notEqual(identity(signal(1)), identity(stopped(1, "sent")));
});
