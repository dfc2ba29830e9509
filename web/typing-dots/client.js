// Time counts from receipt, by timers: clocks are never compared.

const SCOPE = ["channel", "agent", "user"];
const WHO = [...SCOPE, "composer", "participant"];
const SHOWN = [...WHO, "name", "started_at"];

const guard = (fn, ...args) => {
  try {
    fn?.(...args);
  } catch (error) {
    console.error(error);
  }
};

export const connect = ({ src, ticket, throttle_ms = 5e3, idle_ms = 5e3, WebSocket = globalThis.WebSocket }) => {
  const url = new URL(src, globalThis.document?.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const renews = typeof ticket === "function";
  const watches = new Set();
  const listeners = new Set();
  let epoch = 0; // Tells the live socket from older ones.
  let ids = 0;
  let tries = 0;
  let socket, timer, steady;

  const set = (state, detail) => {
    client.state = state;
    for (const fn of listeners) guard(fn, client.state, detail);
  };

  const send = (frame) => client.state === "open" && socket.send(JSON.stringify(frame));

  const leave = (state, detail, wait) => {
    epoch++;
    clearTimeout(timer);
    clearTimeout(steady);
    timer = wait >= 0 && setTimeout(open, wait);
    socket?.close();
    // The claims ended with the socket: the next keystroke begins anew.
    for (const { rest } of watches) rest();
    set(state, detail);
  };

  const lost = (detail, code) => {
    if (!renews || code === 4413) return leave("closed", detail);
    // What ends an open line meets many at once.
    if (client.state === "open") tries = Math.max(tries, 2);
    leave("waiting", detail, Math.random() * Math.min(3e4, 500 * 2 ** tries++));
  };

  // A page does not see the gateway's pings, so it asks.
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = setTimeout(lost, 1e4, "silent");
      send({ type: "ping" });
    }, 25e3);
  };

  const open = async () => {
    const mine = ++epoch;
    heard();
    set("connecting");
    try {
      const value = await (renews ? ticket() : ticket);
      if (mine !== epoch) return;
      url.searchParams.set("ticket", value);
      socket = new WebSocket(url.href);
      socket.onmessage = ({ data }) => {
        if (mine !== epoch) return;
        heard();
        guard(hear, data);
      };
      socket.onclose = ({ code, reason }) => mine === epoch && lost(reason || `${code}`, code);
    } catch (error) {
      if (mine === epoch) lost(`${error}`);
    }
  };

  const hear = (data) => {
    const frame = JSON.parse(data);
    if (frame.type === "hello") {
      client.hello = frame;
      client.state = "open";
      steady = setTimeout(() => (tries = 0), 1e4);
    }
    for (const watch of watches) watch.hear(frame);
    if (frame.type === "hello" || frame.type === "error") set(client.state, frame.detail);
  };

  const watch = (conversation = {}, fn) => {
    const id = `${++ids}`;
    const scope = {};
    for (const field of SCOPE) if (conversation[field]) scope[field] = conversation[field];
    const leases = new Map();
    let seen = "[]";
    let turn = 1;
    let live, composing, throttle, hold;

    const subscribe = () => send({ type: "subscribe", id, ...scope, ref: id });

    const say = (type, more) => send({ type, ...scope, ...more, turn, ref: id });

    const compose = () => {
      clearTimeout(throttle);
      throttle = setTimeout(() => (throttle = 0), throttle_ms);
      // Lasts from a repeat to the `paused` that may follow.
      say("composing", { ttl_ms: throttle_ms + idle_ms });
    };

    const rest = () => {
      composing = clearTimeout(composing);
      throttle = clearTimeout(throttle);
    };

    const apply = (lease) => {
      const key = JSON.stringify(lease, WHO);
      clearTimeout(leases.get(key)?.timer);
      if (lease.type === "stopped") return leases.delete(key);
      const timer = setTimeout(change, lease.remaining_ms, { ...lease, type: "stopped" });
      leases.set(key, { ...lease, timer });
    };

    const clear = () => {
      for (const { timer } of leases.values()) clearTimeout(timer);
      leases.clear();
    };

    const update = () => {
      const me = client.hello;
      const typing = [...leases.values()]
        .filter((lease) => lease.composer !== me.side || lease.participant !== me.participant)
        .sort((a, b) => (a.started_at > b.started_at) - (a.started_at < b.started_at));
      const json = JSON.stringify(typing, SHOWN);
      if (json === seen) return;
      seen = json;
      talk.typing = JSON.parse(json);
      guard(fn, talk.typing);
    };

    const change = (lease) => {
      apply(lease);
      update();
    };

    const hear = (frame) => {
      const { type, last_turn = 0 } = frame;
      if (/^(started|refreshed|stopped)$/.test(type)) {
        if (Object.keys(scope).every((field) => scope[field] === frame[field])) change(frame);
      } else if (type === "hello") {
        live = hold = clearTimeout(hold);
        subscribe();
      } else if ((frame.subscription ?? frame.ref) !== id) return;
      if (type === "snapshot") {
        live = true;
        clear();
        frame.leases.forEach(apply);
        update();
      }
      if (frame.status === 429) {
        throttle = clearTimeout(throttle);
        clearTimeout(hold);
        hold = setTimeout(() => {
          hold = 0;
          if (!live) subscribe();
        }, frame.retry_after_s * 1e3 || throttle_ms);
      }
      if (last_turn + 1 > turn) {
        turn = last_turn + 1;
        if (frame.reason === "fenced" && composing) compose();
      }
    };

    const talk = {
      typing: [],
      input() {
        if (client.state !== "open" || !watches.has(self)) return;
        clearTimeout(composing);
        composing = setTimeout(talk.stop, idle_ms);
        if (!hold && !throttle) compose();
      },
      sent() {
        rest();
        say("sent");
        turn++;
      },
      stop() {
        if (composing) say("paused");
        rest();
      },
      close() {
        talk.stop();
        clearTimeout(hold);
        clear();
        if (watches.delete(self)) send({ type: "unsubscribe", id });
      },
    };
    const self = { hear, rest, close: talk.close };
    watches.add(self);
    subscribe();
    guard(fn, []);
    return talk;
  };

  const client = {
    state: "connecting",
    watch,
    onstate(fn) {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    close() {
      for (const { close } of watches) close();
      leave("closed", "by the page");
    },
  };
  open();
  return client;
};
