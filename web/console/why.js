// The pane that answers why the dots are on, or not: a sentence for each side, and the last 15 minutes below.
import { $, arrange, badge, el, plain, setText, show, words } from "./dom.js";
import { duration, now, onTick, setAgo, wall } from "./clock.js";
import { answers, identity, lately, line } from "./explain.js";
import * as api from "./api.js";

const WAIT_MS = 150;
const MOST = 80;
const WHERE = { agent: "Dots on the handset", user: "Icon on the desk" };

export const createWhy = ({ store, explains }) => {
  const entries = new Map();
  let shown, due, asked, explained, at;
  let trouble = explains ? "" : "History is switched off on this gateway, so there is nothing to explain from.";
  let said = "";

  const who = ({ composer, participant, name: called }) => {
    const conversation = store.get(shown);
    return called ?? store.nameOf(participant) ?? participant ?? conversation?.[composer] ?? composer;
  };

  const fetchNow = async () => {
    due = undefined;
    const conversation = store.current();
    if (!conversation) return;
    asked?.abort();
    asked = new AbortController();
    const { key } = conversation;
    try {
      const answer = await api.explain(conversation, asked.signal);
      if (key !== shown) return;
      explained = answer;
      at = now();
      trouble = "";
      setText($("why-span"), lately(answer.since_ms));
    } catch (refused) {
      if (refused.status === undefined || key !== shown) return;
      if (refused.status === 404) explains = false;
      trouble = explains ? `No explanation: ${refused.message}` : "History is switched off on this gateway, so there is nothing to explain from.";
    }
    render();
  };

  const ask = () => {
    if (explains && !due) due = setTimeout(fetchNow, WAIT_MS);
  };

  const renderAnswers = () => {
    const found = explained ? answers(explained, now() - at, { who, wall: (time) => wall(new Date(time)), duration }) : [];
    const text = found.map(({ composer, on, sentence }) => `${composer}${on}${plain(sentence)}`).join("\n");
    if (text === said) return;
    said = text;
    $("why-answers").replaceChildren(
      ...found.map(({ composer, on, sentence }) =>
        el("div", { class: "answer", "data-on": String(on) }, el("p", { class: "answer-where", text: WHERE[composer] }), el("p", { class: "answer-text" }, ...words(sentence))),
      ),
    );
  };

  const build = (entry) => {
    const { sentence } = line(entry, who);
    const text = el("p", { class: "entry-text", title: plain(sentence) }, ...words(sentence));
    const time = el("time");
    const note = el("span", { class: "entry-note" });
    const times = el("span", { class: "entry-times" });
    const low = (entry.door || entry.kind === "call") && el("p", { class: "entry-low" }, entry.door && badge(entry.door), note, times);
    if (!low) text.append(note, times);
    const item = el(
      "li",
      { class: "entry", "data-testid": "why-entry", "data-kind": entry.kind, "data-what": entry.signal ?? entry.change ?? entry.says, "data-decision": entry.decision ?? entry.verdict, "data-composer": entry.composer },
      el("span", { class: "node", "aria-hidden": "true" }),
      el("div", { class: "entry-body" }, el("div", { class: "entry-top" }, text, time), low),
    );
    return { item, time, note, times };
  };

  const renderTimeline = () => {
    const keep = new Set();
    const items = (explained?.timeline ?? []).slice(-MOST).reverse().map((entry) => {
      let key = `${identity(entry)}\n${who(entry)}`;
      while (keep.has(key)) key += "+";
      keep.add(key);
      if (!entries.has(key)) entries.set(key, build(entry));
      const { item, time, note, times } = entries.get(key);
      setAgo(time, at - (entry.last_ago_ms ?? entry.ago_ms));
      setText(note, line(entry, who).note);
      const spread = entry.ago_ms - (entry.last_ago_ms ?? entry.ago_ms);
      setText(times, entry.times > 1 ? `${entry.times} times${spread >= 1000 ? ` in ${duration(spread)}` : ""}` : "");
      return item;
    });
    for (const key of entries.keys()) if (!keep.has(key)) entries.delete(key);
    arrange($("timeline"), items);
    show($("timeline"), items.length > 0);
  };

  const render = () => {
    renderAnswers();
    renderTimeline();
    if (trouble) setText($("why-empty"), trouble);
    show($("why-empty"), Boolean(trouble) || !shown);
    show($("why-answers"), Boolean(explained));
  };

  // Relative times go on without asking again.
  onTick(renderAnswers);
  render();

  return {
    /** Something happened there. */
    heard: (key) => key === shown && ask(),
    update() {
      if (store.selected === shown) return;
      shown = store.selected;
      explained = undefined;
      clearTimeout(due);
      due = undefined;
      fetchIfAny();
      render();
    },
    refresh: ask,
  };

  function fetchIfAny() {
    if (explains && shown) fetchNow();
  }
};
