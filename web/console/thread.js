// The bubbles of one conversation, seen from one side, and the dots after them.
import { arrange, dots, el, listed, name, setPhrase, setText, show } from "./dom.js";
import { wallAt, wallShort } from "./clock.js";

const GROUP_MS = 3 * 60_000;
const PAUSE_MS = 10 * 60_000;

/** "Ada is typing", "Ada and Grace are typing". */
export const areTyping = (names) => [...listed(names), ` ${names.length > 1 ? "are" : "is"} typing`];

/** `side` is whose thread it is: what that side says stands at the end of the line. */
export const createThread = ({ node, side, testid, nameOf }) => {
  const bubbles = el("ol", { class: "bubbles" });
  const note = el("p", { class: "empty-note" });
  node.append(note, bubbles);
  const known = new WeakMap();
  let typing;
  let shown;

  const bubble = (message) => {
    let item = known.get(message);
    if (!item) {
      const who = name("", { class: "who" });
      const text = el("span", { class: "bubble", dir: "auto", text: message.text, "data-testid": testid.message });
      text.title = wallShort(wallAt(message.at));
      item = el("li", { class: "said", "data-mine": message.composer === side, "data-composer": message.composer }, who, text);
      known.set(message, item);
    }
    return item;
  };

  const mark = (at) => el("li", { class: "mark-time" }, el("span", { text: wallShort(wallAt(at)) }));

  const showTyping = (typers) => {
    if (!typers.length) {
      typing = undefined;
      return;
    }
    typing ??= el("li", { class: "said typing", "data-testid": testid.dots }, el("span", { class: "bubble" }, dots()), el("span", { class: "typing-name cut" }));
    setPhrase(typing.lastElementChild, areTyping(typers));
    return typing;
  };

  return {
    /** `typers` are the names of those who type on the other side. */
    render(conversation, typers, empty) {
      const messages = conversation?.messages ?? [];
      const items = [];
      messages.forEach((message, i) => {
        const before = messages[i - 1];
        const after = messages[i + 1];
        const joins = (a, b) => a && b && a.composer === b.composer && a.participant === b.participant && Math.abs(a.at - b.at) < GROUP_MS;
        const item = bubble(message);
        if (!before || message.at - before.at > PAUSE_MS) items.push((item.mark ??= mark(message.at)));
        item.toggleAttribute("data-first", !joins(before, message));
        item.toggleAttribute("data-last", !joins(message, after));
        setText(item.firstElementChild, joins(before, message) ? "" : (nameOf(message) ?? ""));
        items.push(item);
      });
      const last = showTyping(typers);
      if (last) items.push(last);
      setText(note, items.length ? "" : empty);
      show(note, !items.length);
      const other = shown !== conversation?.key;
      const atEnd = other || node.scrollHeight - node.scrollTop - node.clientHeight < 60;
      shown = conversation?.key;
      const grew = items.length !== bubbles.childElementCount || items.at(-1) !== bubbles.lastElementChild;
      arrange(bubbles, items);
      if (atEnd && (grew || other)) node.scrollTop = node.scrollHeight;
    },
  };
};
