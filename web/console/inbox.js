// The desk's list of conversations: newest activity first, with who types, and a way through it by keyboard.
import { $, alone, arrange, badge, dots, el, hue, initial, name, setPhrase, show } from "./dom.js";
import { setAgo } from "./clock.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

const build = (conversation, store) => {
  const { key, channel, agent, user } = conversation;
  const preview = el("span", { class: "preview ellipsis" });
  const time = el("time");
  const state = el("span", { class: "row-state" });
  const button = el(
    "button",
    { type: "button", class: "row", title: `${alone(user)} with ${alone(agent)} (${alone(channel)})` },
    el("span", { class: "avatar", "aria-hidden": "true", "data-hue": hue(user), text: initial(user) }),
    el(
      "span",
      { class: "row-text" },
      el("span", { class: "row-top" }, name(user, { class: "row-user ellipsis" }), time),
      el("span", { class: "row-mid" }, preview, state),
      el("span", { class: "row-low" }, badge(channel), name(agent, { class: "row-agent ellipsis" })),
    ),
  );
  button.addEventListener("click", () => store.select(key));
  const item = el("li", { "data-testid": "desk-conversation", "data-agent": agent, "data-user": user, "data-channel": channel }, button);
  return { item, button, preview, time, state };
};

const typingIcon = () =>
  el("span", { class: "typing-icon", "data-testid": "desk-typing", title: "The user is typing" }, dots(), el("span", { class: "sr", text: "typing" }));

export const createInbox = ({ store, rep }) => {
  const rows = new Map();
  const list = $("rows");

  $("follow").addEventListener("change", ({ target }) => store.setFollow(target.checked));

  list.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    event.preventDefault();
    buttons[Math.min(buttons.length - 1, Math.max(0, at + step))]?.focus();
  });

  // Only one row is a tab stop, the others are reached by the arrow keys.
  const rove = (target) => {
    for (const { button } of rows.values()) button.tabIndex = button === target ? 0 : -1;
  };
  list.addEventListener("focusin", ({ target }) => rove(target.closest("button")));

  const lastWords = ({ messages, agent }) => {
    const last = messages.at(-1);
    if (!last) return ["No messages yet"];
    if (last.composer === "user") return [{ name: last.text }];
    return [last.participant === rep.id ? "You" : { name: last.name ?? agent }, ": ", { name: last.text }];
  };

  const render = () => {
    const all = store.onDesk();
    const items = all.map((conversation) => {
      const { key } = conversation;
      if (!rows.has(key)) rows.set(key, build(conversation, store));
      const row = rows.get(key);
      const types = store.typing(key, "user").length > 0;
      setPhrase(row.preview, lastWords(conversation));
      row.preview.classList.toggle("none", !conversation.messages.length);
      setAgo(row.time, conversation.at);
      if (types !== Boolean(row.state.firstChild)) row.state.replaceChildren(...(types ? [typingIcon()] : []));
      row.item.classList.toggle("unseen", Boolean(conversation.unseen));
      if (conversation.unseen && !row.badge) row.item.append((row.badge = el("span", { class: "unseen-dot", title: "New activity" }, el("span", { class: "sr", text: "new activity" }))));
      if (!conversation.unseen && row.badge) row.badge = row.badge.remove();
      if (key === store.selected) row.button.setAttribute("aria-current", "true");
      else row.button.removeAttribute("aria-current");
      return row.item;
    });
    const kept = new Set(all.map(({ key }) => key));
    for (const key of rows.keys()) if (!kept.has(key)) rows.delete(key);
    arrange(list, items);
    if (!list.contains(document.activeElement)) rove((rows.get(store.selected) ?? rows.get(all[0]?.key))?.button);
    show($("rows-empty"), !all.length);
    show(list, all.length > 0);
    if ($("follow").checked !== store.follow) $("follow").checked = store.follow;
  };

  return { render };
};
