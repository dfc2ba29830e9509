import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { connect } from "typing-dots";
import { CONVERSATION, FakeWebSocket, lease, pass, settle } from "./fakes.js";

const SIGNALS = ["composing", "paused", "sent"];
let client;
let tickets;

/** Connects, with `ticket-1`, `ticket-2` and so on, and waits for the socket. */
const dial = async (options) => {
  tickets = 0;
  client = connect({
    src: "https://chat.example/typing/v1/socket",
    ticket: async () => `ticket-${++tickets}`,
    WebSocket: FakeWebSocket,
    ...options,
  });
  await settle();
  return FakeWebSocket.last;
};

/** Dials, is greeted, and watches a conversation as the rep `rep-1`. */
const talking = async (options, fn) => {
  const socket = await dial(options);
  socket.hello();
  const talk = client.watch(CONVERSATION, fn);
  socket.say({ type: "snapshot", subscription: "1", leases: [], last_turn: 0 });
  return { socket, talk };
};

const users = (talk) => talk.typing.map(({ user, participant }) => participant ?? user);

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(Math, "random", () => 1);
  FakeWebSocket.all = [];
});

afterEach(() => {
  client?.close();
  mock.timers.reset();
  mock.restoreAll();
});

describe("the throttle", () => {
  it("says composing at the first keystroke, and repeats it once per throttle_ms while keystrokes go on", async () => {
    const { socket, talk } = await talking();
    talk.input();
    assert.deepEqual(socket.take(...SIGNALS), [{ type: "composing", ...CONVERSATION, turn: 1, ttl_ms: 10_000 }]);
    for (let i = 0; i < 49; i++) {
      await pass(100);
      talk.input();
    }
    assert.deepEqual(socket.take(...SIGNALS), [], "for 4.9 s");
    await pass(100);
    talk.input();
    assert.equal(socket.take(...SIGNALS).length, 1, "after 5 s");
    for (let i = 0; i < 200; i++) {
      await pass(100);
      talk.input();
    }
    assert.equal(socket.take(...SIGNALS).length, 4, "in 20 s more");
  });

  it("does not repeat without a keystroke", async () => {
    const { socket, talk } = await talking({ idle_ms: 60_000 });
    talk.input();
    socket.take(...SIGNALS);
    await pass(30_000);
    assert.deepEqual(socket.take(...SIGNALS), []);
  });

  it("has the lengths it is given", async () => {
    const { socket, talk } = await talking({ throttle_ms: 2_000, idle_ms: 3_000 });
    talk.input();
    assert.equal(socket.take("composing")[0].ttl_ms, 5_000);
    await pass(2_000);
    talk.input();
    assert.equal(socket.take("composing").length, 1);
    await pass(3_000);
    assert.equal(socket.take("paused").length, 1);
  });

  it("begins anew after a stop", async () => {
    const { socket, talk } = await talking();
    talk.input();
    talk.stop();
    talk.input();
    assert.deepEqual(
      socket.take(...SIGNALS).map(({ type }) => type),
      ["composing", "paused", "composing"],
    );
  });
});

describe("the idle stop", () => {
  it("says paused idle_ms after the last keystroke, once", async () => {
    const { socket, talk } = await talking();
    talk.input();
    await pass(4_000);
    talk.input();
    await pass(4_999);
    assert.deepEqual(socket.take("paused"), []);
    await pass(1);
    assert.deepEqual(socket.take("paused"), [{ type: "paused", ...CONVERSATION, turn: 1 }]);
    await pass(60_000);
    talk.stop();
    assert.deepEqual(socket.take("paused"), []);
  });

  it("does not come after sent or stop", async () => {
    const { socket, talk } = await talking();
    talk.input();
    talk.sent();
    talk.input();
    talk.stop();
    socket.take(...SIGNALS);
    await pass(30_000);
    assert.deepEqual(socket.take(...SIGNALS), []);
  });

  it("comes at once with stop, and only from who composes", async () => {
    const { socket, talk } = await talking();
    talk.stop();
    assert.deepEqual(socket.take(...SIGNALS), []);
    talk.input();
    talk.stop();
    talk.stop();
    assert.equal(socket.take("paused").length, 1);
  });
});

describe("the turn", () => {
  it("goes on from the snapshot, and rises with each message", async () => {
    const socket = await dial();
    socket.hello();
    const talk = client.watch(CONVERSATION);
    socket.say({ type: "snapshot", subscription: "1", leases: [], last_turn: 7 });
    talk.input();
    talk.sent();
    talk.input();
    talk.stop();
    assert.deepEqual(
      socket.take(...SIGNALS).map(({ type, turn }) => [type, turn]),
      [["composing", 8], ["sent", 8], ["composing", 9], ["paused", 9]],
    );
  });

  it("goes on from the hello", async () => {
    const socket = await dial();
    const talk = client.watch(CONVERSATION);
    socket.hello({ last_turn: 3 });
    talk.input();
    assert.equal(socket.take("composing")[0].turn, 4);
  });

  it("never falls", async () => {
    const { socket, talk } = await talking();
    socket.say({ type: "decision", ref: "1", decision: "ended", last_turn: 5 });
    socket.say({ type: "decision", ref: "1", decision: "ended", last_turn: 2 });
    socket.say({ type: "snapshot", subscription: "1", leases: [], last_turn: 0 });
    talk.input();
    assert.equal(socket.take("composing")[0].turn, 6);
  });

  it("is taken anew after fenced, and composing said again at once", async () => {
    const { socket, talk } = await talking();
    talk.input();
    const fenced = { type: "decision", ref: socket.sent.at(-1).ref, decision: "ignored", reason: "fenced", last_turn: 4 };
    socket.take("composing");
    socket.say(fenced);
    assert.deepEqual(socket.take(...SIGNALS), [{ type: "composing", ...CONVERSATION, turn: 5, ttl_ms: 10_000 }]);
    socket.say(fenced);
    assert.deepEqual(socket.take(...SIGNALS), [], "an older answer is no reason to repeat");
  });

  it("is taken no further than numbers go, and nothing is repeated for it", async () => {
    const { socket, talk } = await talking();
    talk.input();
    const fenced = { type: "decision", ref: "1", decision: "ignored", reason: "fenced", last_turn: 2 ** 53 };
    socket.say(fenced);
    socket.take("composing");
    socket.say(fenced);
    assert.deepEqual(socket.take(...SIGNALS), []);
  });

  it("is taken anew after fenced in silence by who no longer composes", async () => {
    const { socket, talk } = await talking();
    talk.input();
    talk.sent();
    socket.take(...SIGNALS);
    socket.say({ type: "decision", ref: "1", decision: "ignored", reason: "fenced", last_turn: 4 });
    assert.deepEqual(socket.take(...SIGNALS), []);
    talk.input();
    assert.equal(socket.take("composing")[0].turn, 5);
  });

  it("is each conversation's own", async () => {
    const { socket } = await talking();
    const other = client.watch({ ...CONVERSATION, user: "+14155550199" });
    socket.say({ type: "decision", ref: "1", decision: "ended", last_turn: 5 });
    other.input();
    assert.equal(socket.take("composing")[0].turn, 1);
  });
});

describe("those who type", () => {
  it("are told at once, and when they change", async () => {
    const calls = [];
    const { socket, talk } = await talking({}, (typing) => calls.push(typing));
    assert.deepEqual(calls, [[]]);
    socket.say({ type: "started", ...lease({ name: "David" }) });
    const { user, channel, agent } = CONVERSATION;
    const david = { channel, agent, user, composer: "user", name: "David", started_at: lease().started_at };
    assert.deepEqual(calls, [[], [david]]);
    assert.deepEqual(talk.typing, [david]);
    socket.say({ type: "refreshed", ...lease({ name: "David" }) });
    assert.equal(calls.length, 2, "a refresh is no change");
    socket.say({ type: "stopped", ...lease({ name: "David", remaining_ms: 0, reason: "paused" }) });
    assert.deepEqual(calls, [[], [david], []]);
  });

  it("go when remaining_ms has passed since receipt, whatever the clocks say", async () => {
    const { socket, talk } = await talking();
    mock.timers.setTime(Date.parse("2031-01-01T00:00:00Z"));
    socket.say({ type: "started", ...lease({ remaining_ms: 7_000 }) });
    await pass(6_999);
    assert.equal(talk.typing.length, 1);
    await pass(1);
    assert.equal(talk.typing.length, 0);
  });

  it("go by the newest remaining_ms", async () => {
    const { socket, talk } = await talking();
    socket.say({ type: "started", ...lease({ remaining_ms: 7_000 }) });
    await pass(5_000);
    socket.say({ type: "refreshed", ...lease({ remaining_ms: 7_000 }) });
    await pass(6_999);
    assert.equal(talk.typing.length, 1);
    await pass(1);
    assert.equal(talk.typing.length, 0);
  });

  it("go by the snapshot's remaining_ms", async () => {
    const { socket, talk } = await talking();
    socket.say({ type: "snapshot", subscription: "1", leases: [lease({ remaining_ms: 500 })] });
    assert.equal(talk.typing.length, 1);
    await pass(500);
    assert.equal(talk.typing.length, 0);
  });

  it("are another where one of the five fields of identity is", async () => {
    const { socket, talk } = await talking();
    socket.say({ type: "started", ...lease({ composer: "agent", participant: "rep-2" }) });
    socket.say({ type: "started", ...lease({ composer: "agent" }) });
    socket.say({ type: "started", ...lease() });
    assert.equal(talk.typing.length, 3);
    socket.say({ type: "stopped", ...lease({ composer: "agent", reason: "paused" }) });
    assert.deepEqual(talk.typing.map(({ composer, participant }) => [composer, participant]), [
      ["agent", "rep-2"],
      ["user", undefined],
    ]);
  });

  it("do not include the client's own composer", async () => {
    const { socket, talk } = await talking();
    socket.say({ type: "started", ...lease({ composer: "agent", participant: "rep-1" }) });
    assert.deepEqual(talk.typing, []);
    socket.say({ type: "started", ...lease({ composer: "user", participant: "rep-1" }) });
    assert.equal(talk.typing.length, 1, "the other side's participant of the same name is another");
  });

  it("stand in the order in which they started", async () => {
    const { socket, talk } = await talking();
    const at = (participant, second) =>
      lease({ composer: "agent", participant, started_at: `2026-11-21T21:38:0${second}.000Z` });
    socket.say({ type: "snapshot", subscription: "1", leases: [at("c", 3), at("a", 1)] });
    socket.say({ type: "started", ...at("b", 2) });
    socket.say({ type: "refreshed", ...at("a", 1) });
    assert.deepEqual(users(talk), ["a", "b", "c"]);
  });

  it("are told to every watch whose scope covers them, and to no other", async () => {
    const { socket, talk } = await talking();
    const channel = client.watch({ channel: "pinnacle" });
    const all = client.watch();
    const other = client.watch({ user: "+14155550199" });
    socket.say({ type: "started", ...lease() });
    assert.deepEqual([talk, channel, all, other].map((watch) => watch.typing.length), [1, 1, 1, 0]);
    socket.say({ type: "started", ...lease({ agent: "agent_y" }) });
    assert.deepEqual([talk, channel, all, other].map((watch) => watch.typing.length), [1, 2, 2, 0]);
  });

  it("are replaced by a snapshot, in its own subscription only", async () => {
    const { socket, talk } = await talking();
    const all = client.watch();
    socket.say({ type: "started", ...lease({ participant: "a" }) });
    socket.say({ type: "snapshot", subscription: "1", leases: [lease({ participant: "b" })] });
    assert.deepEqual(users(talk), ["b"]);
    assert.deepEqual(users(all), ["a"]);
  });

  it("are not told after close", async () => {
    const calls = [];
    const { socket, talk } = await talking({}, (typing) => calls.push(typing));
    socket.say({ type: "started", ...lease() });
    talk.close();
    talk.close();
    assert.deepEqual(socket.take("unsubscribe"), [{ type: "unsubscribe", id: "1" }]);
    socket.say({ type: "started", ...lease({ participant: "b" }) });
    await pass(60_000);
    assert.equal(calls.length, 2);
  });
});

describe("the scope", () => {
  it("is sent as it is given, without what was left out", async () => {
    const socket = await dial();
    socket.hello();
    client.watch();
    client.watch({ channel: "pinnacle", agent: null, user: "" });
    client.watch(CONVERSATION);
    assert.deepEqual(socket.take("subscribe"), [
      { type: "subscribe", id: "1" },
      { type: "subscribe", id: "2", channel: "pinnacle" },
      { type: "subscribe", id: "3", ...CONVERSATION },
    ]);
  });

  it("waits for the hello", async () => {
    const socket = await dial();
    client.watch(CONVERSATION);
    assert.deepEqual(socket.sent, []);
    socket.hello();
    assert.equal(socket.take("subscribe").length, 1);
  });

  it("is subscribed once by who watches when told of the hello", async () => {
    const socket = await dial();
    client.onstate(() => client.watch(CONVERSATION));
    socket.hello();
    assert.equal(socket.take("subscribe").length, 1);
  });
});

describe("closing a talk", () => {
  it("pauses who composes", async () => {
    const { socket, talk } = await talking();
    talk.input();
    talk.close();
    assert.deepEqual(socket.sent.slice(-2).map(({ type }) => type), ["paused", "unsubscribe"]);
  });

  it("makes its keystrokes mute", async () => {
    const { socket, talk } = await talking();
    talk.close();
    talk.input();
    await pass(20_000);
    assert.deepEqual(socket.take(...SIGNALS), []);
  });
});

describe("the connection", () => {
  it("makes a WebSocket's address of http, with the ticket in it", async () => {
    const socket = await dial({ src: "https://chat.example/typing/v1/socket?a=b", ticket: "o n/e" });
    assert.equal(socket.url.href, "wss://chat.example/typing/v1/socket?a=b&ticket=o+n%2Fe");
    assert.equal((await dial({ src: new URL("http://127.0.0.1:8080/s") })).url.protocol, "ws:");
    assert.equal((await dial({ src: "ws://127.0.0.1:8080/s" })).url.protocol, "ws:");
  });

  it("resolves a relative address by the document", async () => {
    globalThis.document = { baseURI: "https://chat.example/page" };
    try {
      assert.equal((await dial({ src: "/typing/v1/socket" })).url.origin, "wss://chat.example");
    } finally {
      delete globalThis.document;
    }
  });

  it("tells its states", async () => {
    const socket = await dial();
    const states = [];
    const off = client.onstate((state, detail) => states.push(detail === undefined ? state : `${state}: ${detail}`));
    assert.equal(client.state, "connecting");
    socket.hello();
    assert.equal(client.state, "open");
    assert.equal(client.hello.side, "agent");
    socket.drop(1001, "draining");
    await pass(2_000);
    client.close();
    assert.deepEqual(states, ["open", "waiting: draining", "connecting", "closed: by the page"]);
    off();
    client.close();
    assert.equal(states.length, 4);
  });

  it("comes back with a new ticket, and subscribes again", async () => {
    const { socket } = await talking();
    client.watch({ channel: "kaleyra" });
    socket.drop();
    await pass(2_000);
    const again = FakeWebSocket.last;
    assert.notEqual(again, socket);
    assert.equal(again.url.searchParams.get("ticket"), "ticket-2");
    again.hello();
    assert.deepEqual(again.take("subscribe"), [
      { type: "subscribe", id: "1", ...CONVERSATION },
      { type: "subscribe", id: "2", channel: "kaleyra" },
    ]);
  });

  it("doubles its wait from 0.5 s to 30 s, and begins anew once a line has held for 10 s", async () => {
    await dial();
    for (const wait of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const { length } = FakeWebSocket.all;
      FakeWebSocket.last.drop();
      await pass(wait - 1);
      assert.equal(FakeWebSocket.all.length, length, `not before ${wait} ms`);
      await pass(1);
      assert.equal(FakeWebSocket.all.length, length + 1, `after ${wait} ms`);
    }
    FakeWebSocket.last.hello();
    await pass(10_000);
    const { length } = FakeWebSocket.all;
    FakeWebSocket.last.drop();
    await pass(2_000);
    assert.equal(FakeWebSocket.all.length, length + 1);
  });

  it("waits longer and longer for a line that is lost as soon as it is greeted", async () => {
    await dial();
    for (const wait of [2_000, 4_000, 8_000, 16_000, 30_000]) {
      const { length } = FakeWebSocket.all;
      FakeWebSocket.last.hello();
      await pass(9_000);
      FakeWebSocket.last.drop();
      await pass(wait - 1);
      assert.equal(FakeWebSocket.all.length, length, `not before ${wait} ms`);
      await pass(1);
      assert.equal(FakeWebSocket.all.length, length + 1, `after ${wait} ms`);
    }
  });

  it("waits by chance, from nothing to all of it", async () => {
    Math.random.mock.mockImplementation(() => 0.5);
    await dial();
    FakeWebSocket.last.drop();
    await pass(249);
    assert.equal(FakeWebSocket.all.length, 1);
    await pass(1);
    assert.equal(FakeWebSocket.all.length, 2);
  });

  it("spreads over 2 s where an open line ends, as it does for many at once", async () => {
    const socket = await dial();
    socket.hello();
    socket.drop();
    await pass(1_999);
    assert.equal(FakeWebSocket.all.length, 1);
    await pass(1);
    assert.equal(FakeWebSocket.all.length, 2);
    assert.equal(tickets, 2);
  });

  it("waits longer and longer while there is no ticket", async () => {
    let asked = 0;
    await dial({
      ticket: () => {
        asked++;
        throw new Error("no ticket");
      },
    });
    assert.equal(client.state, "waiting");
    await pass(500);
    assert.equal(asked, 2);
    await pass(999);
    assert.equal(asked, 2);
    await pass(1);
    assert.equal(asked, 3);
    assert.equal(FakeWebSocket.all.length, 0);
  });

  it("closes for good where the scope is too wide, or there is no further ticket", async () => {
    (await dial()).drop(4413, "too_wide");
    assert.equal(client.state, "closed");
    await pass(60_000);
    assert.equal(FakeWebSocket.all.length, 1);

    const socket = await dial({ ticket: "only-one" });
    const details = [];
    client.onstate((state, detail) => details.push(state, detail));
    socket.drop(1001, "draining");
    assert.deepEqual(details, ["closed", "draining"]);
    await pass(60_000);
    assert.equal(FakeWebSocket.all.length, 2);
  });

  it("asks a silent line after 25 s, and leaves it after 10 s more", async () => {
    const { socket } = await talking();
    await pass(24_999);
    assert.deepEqual(socket.take("ping"), []);
    await pass(1);
    assert.deepEqual(socket.take("ping"), [{ type: "ping" }]);
    await pass(9_000);
    socket.say({ type: "pong" });
    await pass(25_000);
    assert.equal(socket.take("ping").length, 1);
    await pass(9_999);
    assert.equal(client.state, "open");
    await pass(1);
    assert.equal(client.state, "waiting");
    assert.ok(socket.closed);
    await pass(2_000);
    assert.equal(FakeWebSocket.all.length, 2);
  });

  it("leaves a line that never opens, and a ticket that never comes", async () => {
    await dial({ ticket: () => (++tickets === 1 ? new Promise(() => {}) : "b") });
    await pass(25_000);
    await pass(10_000);
    await pass(500);
    assert.equal(FakeWebSocket.all.length, 1);
    await pass(25_000);
    await pass(10_000);
    assert.ok(FakeWebSocket.last.closed);
    assert.equal(client.state, "waiting");
  });

  it("does not hear an old socket", async () => {
    const { socket, talk } = await talking();
    await pass(25_000);
    await pass(10_000);
    await pass(2_000);
    FakeWebSocket.last.hello();
    socket.say({ type: "started", ...lease() });
    socket.drop();
    assert.deepEqual(talk.typing, []);
    assert.equal(client.state, "open");
  });

  it("comes not back once it is closed, even by a listener, or with a ticket on its way", async () => {
    const socket = await dial();
    client.onstate((state) => state === "waiting" && client.close());
    socket.drop();
    await pass(60_000);
    assert.equal(client.state, "closed");
    assert.equal(FakeWebSocket.all.length, 1);

    let give;
    await dial({ ticket: () => new Promise((resolve) => (give = resolve)) });
    client.close();
    give("late");
    await pass(60_000);
    assert.equal(FakeWebSocket.all.length, 1);
  });

  it("closes its talks and its socket", async () => {
    const { socket, talk } = await talking();
    talk.input();
    client.close();
    assert.deepEqual(socket.sent.slice(-2).map(({ type }) => type), ["paused", "unsubscribe"]);
    assert.ok(socket.closed);
  });
});

describe("while the line is lost", () => {
  it("those who type stay to their own end, or to the new snapshot", async () => {
    const calls = [];
    const { socket, talk } = await talking({}, (typing) => calls.push(typing.length));
    socket.say({ type: "started", ...lease({ participant: "a", remaining_ms: 20_000 }) });
    socket.say({ type: "started", ...lease({ participant: "b", remaining_ms: 1_000 }) });
    socket.drop();
    await pass(500);
    assert.deepEqual(users(talk), ["a", "b"]);
    await pass(1_500);
    assert.deepEqual(users(talk), ["a"]);
    FakeWebSocket.last.hello();
    FakeWebSocket.last.say({ type: "snapshot", subscription: "1", leases: [lease({ participant: "a" })] });
    assert.deepEqual(calls, [0, 1, 2, 1], "no flicker");
  });

  it("nothing is sent, then or later; the next keystroke on the new line begins at once", async () => {
    const { socket, talk } = await talking();
    talk.input();
    await pass(1_000);
    socket.drop();
    socket.take(...SIGNALS);
    talk.input();
    talk.stop();
    talk.input();
    await pass(2_000);
    FakeWebSocket.last.hello();
    await pass(10_000);
    assert.deepEqual(FakeWebSocket.last.take(...SIGNALS), []);
    talk.input();
    FakeWebSocket.last.drop();
    await pass(2_000);
    FakeWebSocket.last.hello();
    talk.input();
    assert.equal(FakeWebSocket.last.take("composing").length, 1);
    assert.deepEqual(socket.take(...SIGNALS), []);
  });

  it("a message raises the turn", async () => {
    const { socket, talk } = await talking();
    socket.drop();
    talk.sent();
    await pass(2_000);
    FakeWebSocket.last.hello();
    assert.deepEqual(FakeWebSocket.last.take(...SIGNALS), []);
    talk.input();
    assert.equal(FakeWebSocket.last.take("composing")[0].turn, 2);
  });
});

describe("a refusal", () => {
  it("with 429 holds composing off for retry_after_s, and no longer", async () => {
    const { socket, talk } = await talking();
    talk.input();
    socket.take(...SIGNALS);
    socket.say({ type: "error", ref: "1", status: 429, detail: "too many requests", retry_after_s: 2 });
    await pass(1_000);
    talk.input();
    talk.stop();
    talk.input();
    assert.deepEqual(socket.take("composing"), []);
    await pass(1_000);
    talk.input();
    assert.equal(socket.take("composing").length, 1);
  });

  it("of a subscription with 429 is asked again", async () => {
    const socket = await dial();
    socket.hello();
    client.watch(CONVERSATION);
    const [{ ref }] = socket.sent;
    socket.take("subscribe");
    socket.say({ type: "error", ref, status: 429, detail: "too many requests", retry_after_s: 1 });
    await pass(1_000);
    assert.deepEqual(socket.take("subscribe"), [{ type: "subscribe", id: "1", ...CONVERSATION }]);
    socket.say({ type: "snapshot", subscription: "1", leases: [] });
    socket.say({ type: "error", ref, status: 429, detail: "too many requests", retry_after_s: 1 });
    await pass(1_000);
    assert.deepEqual(socket.take("subscribe"), []);
  });

  it("is told to who hears of the state", async () => {
    const { socket } = await talking();
    const heard = [];
    client.onstate((...args) => heard.push(args));
    socket.say({ type: "error", ref: "1", status: 403, detail: "read only" });
    assert.deepEqual(heard, [["open", "read only"]]);
  });
});

describe("what is unknown or broken", () => {
  it("does no harm", async () => {
    const reported = mock.method(console, "error", () => {});
    const { socket, talk } = await talking({}, () => {
      throw new Error("a listener's");
    });
    client.onstate(() => {
      throw new Error("another's");
    });
    socket.say({ type: "of tomorrow", ...lease() });
    socket.say({ type: "snapshot", subscription: "gone", leases: [lease()] });
    socket.onmessage({ data: "{" });
    socket.say(null);
    assert.deepEqual(talk.typing, []);
    socket.say({ type: "started", ...lease() });
    assert.equal(talk.typing.length, 1);
    socket.drop();
    await pass(2_000);
    FakeWebSocket.last.hello();
    assert.equal(client.state, "open");
    assert.ok(reported.mock.callCount() >= 6, "and is reported");
  });
});
