// Reads the gateway's explanation of one conversation and says in plain words why the dots are on, or not. Pure: it
// touches no page and no clock. A sentence is a list of texts and of `{ name }`, which is text from strangers.

const DOORS = {
  kaleyra: "Kaleyra's door",
  pinnacle: "Pinnacle's door",
  salesforce: "Salesforce's door",
  rbm: "Google RBM's door",
  native: "the native API",
  socket: "an open socket",
  hold: "a hold",
  webhook: "a provider's webhook",
  "kaleyra-webhook": "Kaleyra's webhook",
  "pinnacle-webhook": "Pinnacle's webhook",
  "rbm-webhook": "Google RBM's webhook",
};

const IGNORED = {
  fenced: "its turn was over",
  duplicate: "it had been heard before",
  nothing_live: "nothing to end",
};

const PROVIDERS = { kaleyra: "Kaleyra", pinnacle: "Pinnacle", salesforce: "Salesforce", rbm: "Google RBM" };

/** What a provider refused, in a line and in a sentence, and what follows from it. */
const REFUSED = {
  credential: { what: "credential", object: "the credential", then: "nothing is sent until it works again" },
  agent: { what: "agent", object: "the agent", then: "nothing is sent for it for a while" },
  recipient: { what: "recipient", object: "the recipient", then: "nothing is sent to it for a while" },
  transient: { what: "not now", object: "it for now", then: "it may do better later" },
};

const DROPPED = {
  stale: "it could not be sent in time",
  breaker: "the credential is refused",
  quiet: "the agent or the recipient was refused before",
  limit: "too much was waiting",
  failed: "it was tried several times and did not get through",
};

const TOLD = { composing: "typing", paused: "stopped" };

const ENDED = {
  sent: (ago) => `ended ${ago} ago by the message.`,
  paused: (ago) => `stopped ${ago} ago, without a message.`,
  expired: (ago) => `ran out ${ago} ago: nobody repeated it.`,
  revoked: (ago) => `taken back ${ago} ago: who vouched for it went away.`,
};

const pick = (table, word, otherwise) => (Object.hasOwn(table, word) ? table[word] : otherwise);

export const doorOf = (door) => pick(DOORS, door, `the door "${door}"`);

export const reasonOf = (reason) => reason && pick(IGNORED, reason, reason);

const lastAgo = (entry) => entry.last_ago_ms ?? entry.ago_ms;

export const lately = (since_ms) => {
  const minutes = Math.max(1, Math.round(since_ms / 60_000));
  return minutes === 1 ? "the last minute" : `the last ${minutes} minutes`;
};

const providerOf = (provider) => pick(PROVIDERS, provider, { name: provider });

const tookOf = (ms) => (ms < 1000 ? `${ms} ms` : `${Number((ms / 1000).toFixed(1))} s`);

const same = (a, b) => a.composer === b.composer && a.participant === b.participant;

const FAILED = {
  refused: ({ reason }, ago) => ` refused ${pick(REFUSED, reason, REFUSED.transient).object} ${ago} ago.`,
  unanswered: (_, ago) => ` gave no answer ${ago} ago.`,
  dropped: ({ reason }, ago) => ` was not told ${ago} ago: ${pick(DROPPED, reason, reason)}.`,
};

const SCREENS = { agent: "The handset", user: "The desk" };

/** What is to be said of a provider that did not take what it was last told of these dots, if there is one. */
const doubtSentence = (leases, timeline, as_of, elapsed, duration) => {
  const began = Math.max(...leases.map(({ started_at }) => Date.parse(as_of) - Date.parse(started_at)));
  const lasts = new Map();
  for (const call of timeline) {
    // What was called about earlier dots says nothing of these.
    if (call.kind !== "call" || call.says !== "composing" || lastAgo(call) > began) continue;
    const last = lasts.get(call.upstream);
    if (!last || lastAgo(call) <= lastAgo(last)) lasts.set(call.upstream, call);
  }
  const failed = [...lasts.values()].filter(({ verdict }) => Object.hasOwn(FAILED, verdict));
  if (!failed.length) return [];
  const call = failed.reduce((a, b) => (lastAgo(b) < lastAgo(a) ? b : a));
  const ago = duration(Math.max(1000, lastAgo(call) + elapsed));
  return [` ${SCREENS[call.composer]} may not show it: `, providerOf(call.provider), FAILED[call.verdict](call, ago)];
};

// Of a webhook, the lease's origin says whose.
const voucher = (signal, lease) => {
  const door = signal?.door ?? lease.origin;
  return doorOf(door === "webhook" && lease.origin.endsWith("-webhook") ? lease.origin : door);
};

const onSentence = (leases, timeline, who, wall) => {
  const [lease, ...others] = [...leases].sort((a, b) => b.remaining_ms - a.remaining_ms);
  const signal = timeline.findLast((e) => e.kind === "signal" && e.signal === "composing" && e.decision !== "ignored" && e.decision !== "refused" && same(e, lease));
  return [
    "On: ",
    { name: who(lease) },
    ...others.flatMap((other) => [" and ", { name: who(other) }]),
    others.length ? " have" : " has",
    ` been typing since ${wall(lease.started_at)}, vouched for by ${voucher(signal, lease)}, until ${wall(lease.expires_at)} unless repeated.`,
  ];
};

const offSentence = (lapsed, timeline, since_ms, elapsed, duration) => {
  const stop = timeline.findLast((e) => e.kind === "change" && e.change === "stopped");
  const stopAgo = Math.min(stop?.ago_ms ?? Infinity, lapsed.length ? -Math.max(...lapsed.map((l) => l.remaining_ms)) : Infinity);
  const turned = timeline.findLast(
    (e) => e.kind === "signal" && e.signal === "composing" && ["ignored", "refused"].includes(e.decision) && lastAgo(e) <= stopAgo,
  );
  const ago = (ms) => duration(Math.max(1000, ms + elapsed));
  if (turned) {
    const why = reasonOf(turned.reason);
    return [`Off: the signal was ${turned.decision} ${ago(lastAgo(turned))} ago${why ? `: ${why}` : ""}.`];
  }
  if (stop && stop.ago_ms === stopAgo) return [`Off: ${pick(ENDED, stop.reason, (t) => `ended ${t} ago.`)(ago(stop.ago_ms))}`];
  if (lapsed.length) return [`Off: ${ENDED.expired(ago(stopAgo))}`];
  const last = timeline.findLast((e) => e.kind === "signal");
  if (last?.signal === "sent") return [`Off: a message came ${ago(lastAgo(last))} ago while nobody was typing.`];
  if (last?.signal === "paused") return [`Off: a stop came ${ago(lastAgo(last))} ago while nobody was typing.`];
  return [`Off: nobody has typed in ${lately(since_ms)}.`];
};

/**
 * One answer for each side that was heard of, the one that matters most first: `{ composer, on, sentence }`.
 * `elapsed` is how many milliseconds ago the gateway explained; `who` names a composer, `wall` writes a wall time and
 * `duration` a length of time.
 */
export const answers = (explained, elapsed, { who, wall, duration }) => {
  const found = ["agent", "user"].map((composer) => {
    const leases = explained.leases.filter((lease) => lease.composer === composer);
    const timeline = explained.timeline.filter((entry) => entry.composer === composer);
    const live = leases.filter((lease) => lease.remaining_ms > elapsed);
    const heard = Math.min(...timeline.map(lastAgo), Infinity);
    const on = live.length > 0;
    const sentence = on
      ? [...onSentence(live, timeline, who, wall), ...doubtSentence(live, timeline, explained.as_of, elapsed, duration)]
      : offSentence(leases, timeline, explained.since_ms, elapsed, duration);
    return { composer, on, heard, sentence, known: on || timeline.length > 0 };
  });
  const known = found.filter((answer) => answer.known);
  return (known.length ? known : [found[0]]).sort((a, b) => b.on - a.on || a.heard - b.heard);
};

const SIGNALS = { composing: "types", paused: "stopped", sent: "sent a message" };

const CHANGES = { started: "on", refreshed: "stays on", stopped: "off" };

const WHY_OFF = { sent: "by the message", paused: "without a message", expired: "ran out", revoked: "taken back" };

const callLine = ({ provider, upstream, says, verdict, reason, detail, took_ms }) => {
  const whom = [providerOf(provider), " (", { name: upstream }, ")"];
  const told = `: ${pick(TOLD, says, says)}`;
  if (verdict === "refused") {
    const { what, then } = pick(REFUSED, reason, REFUSED.transient);
    return { sentence: [...whom, says === "paused" ? " refused the stop: " : " refused: ", what, detail ? ` (${detail})` : ""], note: then };
  }
  if (verdict === "dropped") return { sentence: ["Not sent to ", ...whom, told], note: pick(DROPPED, reason, reason) };
  const note = verdict === "unanswered" ? `no answer in ${tookOf(took_ms)}; it may have taken effect` : `${verdict} in ${tookOf(took_ms)}`;
  return { sentence: ["Told ", ...whom, told], note };
};

/** What tells an entry of the timeline from others, however often it is repeated. */
export const identity = (entry) =>
  ["at", "kind", "signal", "change", "composer", "participant", "decision", "provider", "upstream", "says", "verdict", "reason", "detail"].map((field) => entry[field]).join("\n");

/** One line of the timeline: `{ sentence, note }`. */
export const line = (entry, who) => {
  if (entry.kind === "call") return callLine(entry);
  if (entry.kind === "signal") {
    const note = [entry.decision, entry.decision === "ended" ? undefined : reasonOf(entry.reason)].filter(Boolean).join(": ");
    return { sentence: [{ name: who(entry) }, ` ${pick(SIGNALS, entry.signal, entry.signal)}`], note };
  }
  const what = entry.composer === "agent" ? "Dots" : "Icon";
  const word = pick(CHANGES, entry.change, entry.change);
  const plural = what === "Dots" && word === "stays on" ? "stay on" : word;
  return { sentence: [`${what} ${plural}`], note: entry.reason ? pick(WHY_OFF, entry.reason, entry.reason) : "" };
};
