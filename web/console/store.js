// What the page knows: the conversations, what was said in them, who types in them, and which one is open.
import { now } from "./clock.js";

const MOST = 200;
const PACE_MS = 40;
const SETTLE_MS = 150;
const JUST_MS = 1000;
const DWELL_MS = 700;

export const keyOf = ({ channel, agent, user }) => JSON.stringify([channel, agent, user]);

const sameLease = (a, b) => ["composer", "participant", "started_at"].every((field) => a[field] === b[field]);

export const createStore = () => {
  const conversations = new Map();
  const listeners = new Set();
  const names = new Map();
  let typing = new Map();
  let ids = 0;
  let due;
  let told = 0;
  let latest = 0;
  let moved = -Infinity;
  let move;

  // What comes later is later, though the page's clock, which is coarse, may not have gone on since.
  const moment = () => (latest = Math.max(now(), latest + 1e-3));

  // Many changes at once are drawn once.
  const changed = () => {
    if (due) return;
    due = setTimeout(tell, Math.max(0, told + PACE_MS - now()));
  };

  const tell = () => {
    due = clearTimeout(due);
    told = now();
    forget();
    for (const fn of listeners) fn(store);
  };

  const ensure = (of, at = moment()) => {
    const key = keyOf(of);
    let conversation = conversations.get(key);
    if (!conversation) {
      const { channel, agent, user } = of;
      conversation = { key, channel, agent, user, at, messages: [], draft: { user: "", agent: "" } };
      conversations.set(key, conversation);
    }
    return conversation;
  };

  // Looked at once for many that come at once, and not while it is being written down who types.
  const forget = () => {
    if (conversations.size <= MOST) return;
    const spare = store.sorted().filter(({ key }) => key !== store.selected && !typing.has(key));
    for (const { key } of spare.slice(MOST - conversations.size)) conversations.delete(key);
  };

  const drafting = () => {
    const { draft } = conversations.get(store.selected) ?? {};
    return Boolean(draft?.user || draft?.agent);
  };

  const learn = ({ participant, name }) => {
    if (!participant || !name) return;
    names.set(participant, name);
    if (names.size > MOST) names.delete(names.keys().next().value);
  };

  const live = (key) => Boolean(typing.get(key)?.length);

  // The newest is opened unless something was chosen by hand, or half a message would be left behind.
  const followTo = (conversation) => {
    clearTimeout(move);
    if (conversation.key === store.selected) return;
    if (!store.follow || drafting()) {
      conversation.unseen = true;
      return changed();
    }
    // Where much goes on, each is shown for a moment at least.
    const wait = moved + DWELL_MS - now();
    if (wait > 0) {
      move = setTimeout(followTo, wait, conversation);
      return;
    }
    moved = now();
    store.selected = conversation.key;
    conversation.unseen = false;
    changed();
  };

  const store = {
    selected: undefined,
    follow: true,

    subscribe: (fn) => listeners.add(fn),
    current: () => conversations.get(store.selected),
    get: (key) => conversations.get(key),
    sorted: () => [...conversations.values()].sort((a, b) => b.at - a.at),
    onDesk: () => store.sorted().filter((conversation) => !conversation.local),

    /** Who types in a conversation, as the desk's socket has it. */
    typing: (key, composer) => (typing.get(key) ?? []).filter((lease) => lease.composer === composer),

    nameOf: (participant) => names.get(participant),

    replaceAll(list, keepOwn) {
      const before = new Map(conversations);
      const stays = !store.follow || drafting();
      const at = moment();
      conversations.clear();
      for (const { messages, last_activity_ago_ms, ...of } of list) {
        const known = before.get(keyOf(of));
        const conversation = ensure(of, at - last_activity_ago_ms);
        if (known) Object.assign(conversation, { draft: known.draft, unseen: known.unseen });
        conversation.messages = keepOwn
          ? (known?.messages ?? [])
          : messages.map((message, i) => remember(message, known?.messages[i]));
      }
      for (const [key, known] of before) {
        if (!conversations.has(key) && (known.local || live(key) || (stays && key === store.selected))) conversations.set(key, known);
      }
      if (!stays) store.selected = store.onDesk()[0]?.key;
      changed();
    },

    touch(of) {
      const known = conversations.has(keyOf(of));
      const conversation = ensure(of);
      conversation.at = moment();
      conversation.local = false;
      changed();
      if (!known) return void followTo(conversation);
      // That it ended is no reason to go there, nor is a repeat while there is something to see here. The socket may
      // tell of it a little later than the feed.
      setTimeout(() => {
        const ended = now() - conversation.ended < JUST_MS;
        if (ended || (store.follow && live(store.selected))) return;
        followTo(conversation);
      }, SETTLE_MS);
    },

    message(of, message) {
      const conversation = ensure(of);
      conversation.at = moment();
      conversation.local = false;
      conversation.messages.push(remember({ ...message, ago_ms: 0 }));
      if (conversation.messages.length > MOST) conversation.messages.shift();
      followTo(conversation);
      changed();
    },

    setTyping(leases) {
      const before = typing;
      typing = new Map();
      const begun = [];
      for (const lease of leases) {
        const conversation = ensure(lease);
        const { key } = conversation;
        conversation.local = false;
        typing.set(key, [...(typing.get(key) ?? []), lease]);
        learn(lease);
        if (!before.get(key)?.some((known) => sameLease(known, lease))) begun.push(conversation);
      }
      (store.follow ? begun.slice(-1) : begun).forEach(followTo);
      for (const [key, known] of before) {
        const conversation = conversations.get(key);
        if (conversation && known.length > (typing.get(key)?.length ?? 0)) conversation.ended = now();
      }
      changed();
    },

    /** By hand: the page stays with it until it is told to follow again. */
    select(key) {
      store.selected = key;
      store.follow = false;
      const conversation = conversations.get(key);
      if (conversation) conversation.unseen = false;
      tell();
    },

    setFollow(follow) {
      store.follow = follow;
      const newest = store.onDesk()[0];
      if (follow && newest) {
        store.selected = newest.key;
        newest.unseen = false;
      }
      tell();
    },

    /** A conversation that only this page knows of yet. */
    invent(of) {
      const known = conversations.has(keyOf(of));
      const conversation = ensure(of);
      if (!known) conversation.local = true;
      store.select(conversation.key);
    },

    draft(key, side, text) {
      const conversation = conversations.get(key);
      if (conversation) conversation.draft[side] = text;
    },

    changed,
  };

  const remember = ({ ago_ms = 0, composer, participant, name, text }, known) => {
    learn({ participant, name });
    const same = known && ["composer", "participant", "text"].every((f) => known[f] === { composer, participant, text }[f]);
    return same ? known : { id: ++ids, composer, participant, name, text, at: now() - ago_ms };
  };

  return store;
};
