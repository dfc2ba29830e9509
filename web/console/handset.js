// The handset: one user's phone, with the agent's dots from a socket of its own.
import { $, alone, badge, channelName, el, hue, initial, plain, setText, setTitle, show } from "./dom.js";
import { areTyping, createThread } from "./thread.js";
import { createComposer } from "./composer.js";
import { createSide } from "./side.js";
import { onTick, wallShort } from "./clock.js";

const LINE = { open: "Connected", connecting: "Connecting", waiting: "Connection lost", closed: "Not connected", idle: "Not connected" };

const called = ({ name, participant, agent }) => name ?? participant ?? agent;

const options = (select, wanted, value) => {
  const now = [...select.options].map((option) => `${option.value}\n${option.textContent}`).join("\0");
  const then = wanted.map(([key, text]) => `${key}\n${text}`).join("\0");
  if (now !== then) select.replaceChildren(...wanted.map(([key, text]) => el("option", { value: key, text })));
  if (select.value !== value) select.value = value;
};

export const createHandset = ({ store, say, onstate }) => {
  let typing = [];
  let episode = "";

  const line = createSide({
    onstate(state, detail) {
      $("phone-bars").setAttribute("aria-label", LINE[state]);
      $("phone-bars").dataset.state = state;
      onstate(state, detail);
    },
    ontyping(leases) {
      typing = leases.filter(({ composer }) => composer === "agent");
      render();
    },
  });

  const thread = createThread({
    node: $("handset-thread"),
    side: "user",
    testid: { message: "handset-message", dots: "handset-dots" },
    nameOf: ({ composer, name }) => (composer === "agent" ? name : undefined),
  });

  const composer = createComposer({
    form: $("handset-form"),
    input: $("handset-input"),
    error: $("handset-error"),
    side: "user",
    store,
    talk: line.talk,
    say: (text, conversation) => say(conversation, { composer: "user", text }),
  });

  $("handset-user").addEventListener("change", ({ target }) => {
    const first = store.sorted().find(({ user }) => user === target.value);
    if (first) store.select(first.key);
  });

  $("handset-conversation").addEventListener("change", ({ target }) => store.select(target.value));

  const renderPicker = (conversation) => {
    const all = store.sorted();
    // In the order of the alphabet, so that nothing jumps under the pointer.
    const users = [...new Set(all.map(({ user }) => user))].sort();
    options($("handset-user"), users.length ? users.map((user) => [user, alone(user)]) : [["", "Nobody yet"]], conversation?.user ?? "");
    $("handset-user").disabled = !users.length;
    const own = all.filter(({ user }) => user === conversation?.user);
    own.sort((a, b) => (a.key > b.key ? 1 : -1));
    options($("handset-conversation"), own.map(({ key, agent, channel }) => [key, `${alone(agent)} · ${alone(channelName(channel))}`]), conversation?.key);
    show($("handset-tabs"), own.length > 1);
    show($("handset-via"), own.length <= 1);
  };

  const renderHead = (conversation) => {
    setText($("handset-agent"), conversation?.agent ?? "Nobody yet");
    setTitle($("handset-agent"), conversation?.agent ?? "");
    setText($("handset-avatar"), conversation ? initial(conversation.agent) : "");
    $("handset-avatar").dataset.hue = conversation ? hue(conversation.agent) : "";
    if ($("handset-via").dataset.channel !== (conversation?.channel ?? "")) {
      $("handset-via").dataset.channel = conversation?.channel ?? "";
      $("handset-via").replaceChildren(...(conversation ? [badge(conversation.channel)] : []));
    }
  };

  const render = () => {
    const conversation = store.current();
    const names = [...new Set(typing.map(called))];
    renderPicker(conversation);
    renderHead(conversation);
    thread.render(conversation, names, conversation ? "No messages yet" : "The dots show up here as soon as an agent types");
    composer.open(conversation);
    // Said once when somebody begins, not at each repeat.
    const who = names.length ? plain(areTyping(names)) : "";
    if (who !== episode) setText($("handset-live"), (episode = who));
  };

  const clock = () => setText($("phone-clock"), wallShort(Date.now()));
  clock();
  onTick(clock);

  return {
    update() {
      const conversation = store.current();
      line.become(conversation && { side: "user", user: conversation.user });
      line.watch(conversation);
      render();
    },
    wake: () => line.wake(store.current()),
    close: () => line.become(undefined),
  };
};
