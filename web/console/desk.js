// The rep's desk: the open conversation, who types in it, and the line on which this rep types.
import { $, alone, badge, el, hue, icon, initial, listed, name, plain, setPhrase, setText, setTitle, show } from "./dom.js";
import { eachFrame } from "./clock.js";
import { areTyping, createThread } from "./thread.js";
import { createComposer } from "./composer.js";
import { createInbox } from "./inbox.js";
import { createSide } from "./side.js";
import { keyOf } from "./store.js";

export const createDesk = ({ store, rep, say, onstate, onchange }) => {
  const inbox = createInbox({ store, rep });
  let peer;
  let episode = "";
  let seen = "[]";

  const line = createSide({
    onstate,
    // All of the tenant, for the list.
    onclient: (client) =>
      client.watch(
        {},
        eachFrame((leases) => {
          const here = JSON.stringify(leases.filter((lease) => keyOf(lease) === store.selected));
          store.setTyping(leases);
          if (here !== seen) onchange();
          seen = here;
        }),
      ),
  });

  const thread = createThread({
    node: $("desk-thread"),
    side: "agent",
    testid: { message: "desk-message", dots: "desk-dots" },
    nameOf: ({ composer, participant, name: said }) => (composer === "agent" && participant !== rep.id ? said : undefined),
  });

  const composer = createComposer({
    form: $("desk-form"),
    input: $("desk-input"),
    error: $("desk-error"),
    side: "agent",
    store,
    talk: line.talk,
    say: (text, conversation) => say(conversation, { composer: "agent", participant: rep.id, name: rep.name, text }),
  });

  const connect = () => line.become({ side: "agent", participant: rep.id, name: rep.name });

  $("rep-name").value = rep.name;
  $("rep-name").addEventListener("change", ({ target }) => {
    rep.rename(target.value);
    target.value = rep.name;
    connect();
    line.watch(store.current());
  });
  $("rep-name").addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.target.blur();
    if (event.key === "Escape") {
      event.target.value = rep.name;
      event.target.blur();
    }
  });

  const renderHead = (conversation) => {
    const { user, agent, channel, key } = conversation;
    setText($("open-title"), user);
    setTitle($("open-title"), user);
    setText($("open-avatar"), initial(user));
    $("open-avatar").dataset.hue = hue(user);
    if ($("open-via").dataset.key !== key) {
      $("open-via").dataset.key = key;
      $("open-via").replaceChildren(badge(channel), el("span", { class: "muted", text: "to" }), name(agent, { class: "ellipsis", title: alone(agent) }));
    }
  };

  const renderPeers = (names) => {
    if (!names.length) {
      peer = peer?.remove();
      return "";
    }
    if (!peer) $("desk-peer").append((peer = el("p", { class: "peer", "data-testid": "desk-peer" }, icon("people"), el("span", { class: "cut" }))));
    const phrase = [...listed(names), ` ${names.length > 1 ? "are" : "is"} already answering`];
    setPhrase(peer.lastElementChild, phrase);
    return plain(phrase);
  };

  const render = () => {
    const conversation = store.current();
    inbox.render();
    show($("welcome"), !conversation);
    show($("desk-thread"), Boolean(conversation));
    show($("desk-foot"), Boolean(conversation));
    show($("open-title").closest(".col-head"), Boolean(conversation));
    composer.open(conversation);
    const said = [];
    if (conversation) {
      renderHead(conversation);
      const types = store.typing(conversation.key, "user").length > 0;
      thread.render(conversation, types ? [conversation.user] : [], "No messages yet");
      const peers = store.typing(conversation.key, "agent").filter(({ participant }) => participant !== rep.id);
      if (types) said.push(plain(areTyping([conversation.user])));
      said.push(renderPeers([...new Set(peers.map((lease) => lease.name ?? lease.participant ?? lease.agent))]));
    }
    // Said once for each that begins, not at each repeat.
    const text = said.filter(Boolean).join(". ");
    if (text !== episode) setText($("desk-live"), (episode = text));
  };

  connect();

  return {
    update() {
      line.watch(store.current());
      render();
    },
    wake: () => line.wake(store.current()),
    close: () => line.become(undefined),
  };
};
