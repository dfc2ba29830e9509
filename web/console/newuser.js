// The dialog that opens a conversation with somebody who has not said anything yet.
import { $, channelName, el, setText } from "./dom.js";

// Dev mode allows every agent; these are the ones its commands speak of.
const AGENTS = { kaleyra: "kio_rcs", pinnacle: "agent_x", salesforce: "desk" };
const PHONE = /^\+[1-9]\d{6,14}$/;

export const createNewUser = ({ store, session }) => {
  const dialog = $("new-dialog");
  const channel = $("new-channel");
  const agent = $("new-agent");
  const user = $("new-name");
  let suggested = "";

  channel.replaceChildren(...session.channels.map((c) => el("option", { value: c.name, text: channelName(c.name) })));

  const isPhone = () => session.channels.find(({ name }) => name === channel.value)?.kind === "rcs";

  const suggest = () => {
    const known = store.sorted().find((conversation) => conversation.channel === channel.value)?.agent;
    const next = known ?? (session.mode === "dev" && Object.hasOwn(AGENTS, channel.value) ? AGENTS[channel.value] : "");
    if (agent.value === suggested) agent.value = next;
    suggested = next;
    setText($("new-hint"), isPhone() ? "A phone number, such as +14155550123" : "Any name, such as David Wood");
    user.inputMode = isPhone() ? "tel" : "text";
    check();
  };

  const normal = () => {
    const text = user.value.trim();
    if (!isPhone()) return text;
    const digits = text.replace(/[\s().-]/g, "");
    return digits.startsWith("+") ? digits : `+${digits}`;
  };

  const check = () => {
    const wrong = user.value.trim() && isPhone() && !PHONE.test(normal());
    user.setCustomValidity(wrong ? "Write a phone number with its country code, such as +14155550123." : "");
  };

  channel.addEventListener("change", suggest);
  user.addEventListener("input", check);

  $("new-user").addEventListener("click", () => {
    const current = store.current()?.channel;
    if (session.channels.some(({ name }) => name === current)) channel.value = current;
    agent.value = suggested = "";
    user.value = "";
    suggest();
    dialog.showModal();
    user.focus();
  });
  $("new-cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

  $("new-form").addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
    store.invent({ channel: channel.value, agent: agent.value.trim(), user: normal() });
    $("handset-input").focus();
  });
};
