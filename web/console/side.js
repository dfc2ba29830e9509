// One side's line to the gateway: its socket, and the watch of the conversation that is open.
import { connect } from "./typing-dots/client.js";
import * as api from "./api.js";
import { now } from "./clock.js";

const LONG_MS = 2000;

/** `onclient` hears of each new client, `onstate` of its socket, `ontyping` of those who type in what is open. */
export const createSide = ({ onstate, ontyping, onclient }) => {
  let client, talk, as, open;
  let since = 0;

  const leave = () => {
    talk?.close();
    talk = undefined;
    open = undefined;
    // Nobody is heard of here from now on: what was shown of them goes.
    ontyping?.([]);
  };

  const replace = (ticket) => {
    const last = client;
    client = undefined;
    last?.close();
    if (!ticket) return onstate("idle");
    const mine = connect({ src: "/typing/v1/socket", ticket: () => api.ticket(ticket) });
    client = mine;
    mine.onstate((state, detail) => {
      if (mine !== client) return;
      if (state === "open") since = Infinity;
      else if (since === Infinity) since = now();
      onstate(state, detail);
    });
    since = now();
    onstate(mine.state);
    onclient?.(mine);
  };

  return {
    talk: () => talk,

    /** Connects as this side, anew if it is another than before. */
    become(ticket) {
      const wanted = ticket && JSON.stringify(ticket);
      if (wanted === as) return;
      leave();
      as = wanted;
      replace(ticket);
    },

    /** Watches this conversation and no other. */
    watch(conversation) {
      if (conversation?.key === open) return;
      leave();
      open = conversation?.key;
      if (!client || !conversation) return;
      const { channel, agent, user } = conversation;
      talk = client.watch({ channel, agent, user }, ontyping);
    },

    /** The gateway is known to be back: a client that waits for long need not wait for its turn. */
    wake(conversation) {
      if (client?.state !== "waiting" || now() - since < LONG_MS) return;
      leave();
      replace(JSON.parse(as));
      this.watch(conversation);
    },
  };
};
