import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { insert, remove } from "./dom.js";
import { CONVERSATION, FakeWebSocket, lease, pass, settle } from "./fakes.js";

const { connect } = await import("typing-dots");
const { TypingDots } = await import("typing-dots/element");

let elements;

/** An element of the page, with these attributes and properties. */
const place = async (attributes = {}, properties = {}) => {
  const element = new TypingDots();
  elements.push(element);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  Object.assign(element, properties);
  insert(element);
  await settle();
  return element;
};

/** An element that watches a conversation as its user. */
const watching = async (properties) => {
  const element = await place({ src: "/typing/v1/socket", ticket: "first", ...CONVERSATION }, properties);
  const socket = FakeWebSocket.last;
  socket.hello({ side: "user", participant: undefined });
  socket.say({ type: "snapshot", subscription: "1", leases: [] });
  return { element, socket, live: element.shadow.find("output") };
};

const rep = (participant, name, more) => lease({ composer: "agent", participant, name, ...more });
const started = (socket, ...who) => socket.say({ type: "started", ...rep(...who) });
const stopped = (socket, ...who) => socket.say({ type: "stopped", ...rep(...who), reason: "paused" });
/** What was read aloud: what was written to the live region, without its clearing. */
const said = (live) => live.writes.filter(Boolean);

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(Math, "random", () => 1);
  globalThis.WebSocket = FakeWebSocket;
  FakeWebSocket.all = [];
  elements = [];
});

afterEach(async () => {
  elements.forEach(remove);
  await settle();
  mock.timers.reset();
  mock.restoreAll();
});

describe("the live region", () => {
  it("is polite, empty and there before anybody types", async () => {
    const element = new TypingDots();
    const live = element.shadow.find("output");
    assert.equal(live.getAttribute("aria-live"), "polite");
    assert.equal(live.textContent, "");
    assert.equal(element.shadow.find("span").getAttribute("aria-hidden"), "true", "the label is not read as well");
  });

  it("says once that somebody is typing, however often it is refreshed, and nothing when it stops", async () => {
    const { socket, live } = await watching();
    started(socket, "rep-1", "Ada");
    for (let i = 0; i < 5; i++) {
      await pass(5_000);
      socket.say({ type: "refreshed", ...rep("rep-1", "Ada") });
      socket.say({ type: "snapshot", subscription: "1", leases: [rep("rep-1", "Ada")] });
    }
    assert.deepEqual(live.writes, ["Ada is typing"]);
    stopped(socket, "rep-1", "Ada");
    assert.deepEqual(live.writes, ["Ada is typing", ""]);
  });

  it("says it again in the next episode", async () => {
    const { socket, live } = await watching();
    started(socket, "rep-1", "Ada");
    await pass(20_000);
    started(socket, "rep-1", "Ada");
    assert.deepEqual(said(live), ["Ada is typing", "Ada is typing"]);
  });

  it("says once more that others join, and then is silent until nobody types", async () => {
    const { socket, live } = await watching();
    started(socket, "rep-1", "Ada");
    started(socket, "rep-2", "Bob");
    started(socket, "rep-3", "Cleo");
    stopped(socket, "rep-3", "Cleo");
    stopped(socket, "rep-2", "Bob");
    started(socket, "rep-2", "Bob");
    stopped(socket, "rep-1", "Ada");
    assert.deepEqual(said(live), ["Ada is typing", "Ada and Bob are typing"]);
    stopped(socket, "rep-2", "Bob");
    started(socket, "rep-3", "Cleo");
    assert.deepEqual(said(live).slice(2), ["Cleo is typing"]);
  });

  it("says nothing new when one hands over to another", async () => {
    const { socket, live } = await watching();
    started(socket, "rep-1", "Ada");
    socket.say({ type: "snapshot", subscription: "1", leases: [rep("rep-2", "Bob")] });
    assert.deepEqual(said(live), ["Ada is typing"]);
  });

  it("is silent through a reconnect", async () => {
    const { socket, live } = await watching({ renew: () => "next" });
    started(socket, "rep-1", "Ada");
    socket.drop();
    await pass(2_000);
    FakeWebSocket.last.hello({ side: "user", participant: undefined });
    FakeWebSocket.last.say({ type: "snapshot", subscription: "1", leases: [rep("rep-1", "Ada")] });
    assert.equal(FakeWebSocket.all.length, 2);
    assert.deepEqual(live.writes, ["Ada is typing"]);
  });
});

describe("the words", () => {
  const textOf = async (leases, labels) => {
    const { element, socket } = await watching({ labels });
    socket.say({ type: "snapshot", subscription: "1", leases });
    return element.shadow.find("span").textContent;
  };

  it("are for one, for two and for several", async () => {
    const [ada, bob, cleo] = [rep("rep-1", "Ada"), rep("rep-2", "Bob"), rep("rep-3", "Cleo")];
    assert.equal(await textOf([ada]), "Ada is typing");
    assert.equal(await textOf([ada, bob]), "Ada and Bob are typing");
    assert.equal(await textOf([ada, bob, cleo]), "several people are typing");
  });

  it("call the nameless by what they are, and never by an agent's id", async () => {
    assert.equal(await textOf([rep("rep-1")]), "Agent is typing");
    assert.equal(await textOf([rep("rep-1"), rep("rep-2")]), "several people are typing");
  });

  it("can be others, and functions", async () => {
    const labels = {
      one: "{name} schreibt",
      many: ({ names }) => `${names.length} schreiben`,
      agent: ({ agent }) => `Team ${agent}`,
    };
    assert.equal(await textOf([rep()], labels), "Team agent_x schreibt");
    assert.equal(await textOf([rep("1", "A"), rep("2", "B"), rep("3", "C")], labels), "3 schreiben");
    assert.equal(await textOf([rep("1", "A"), rep("2", "B")], labels), "A and B are typing", "the rest stays English");
  });

  it("take a name as text, even one that looks like a pattern", async () => {
    assert.equal(await textOf([rep("1", "<b>$& {a}</b>")]), "<b>$& {a}</b> is typing");
  });

  it("call a user without a name by their address, before an agent", async () => {
    const element = await place({ src: "/s", ticket: "first" });
    FakeWebSocket.last.hello();
    FakeWebSocket.last.say({ type: "started", ...lease({ user: "David Wood" }) });
    assert.equal(element.shadow.find("span").textContent, "David Wood is typing");
  });
});

describe("the element", () => {
  it("has the attribute typing and fires change while somebody types, and when they go", async () => {
    const { element, socket } = await watching();
    assert.equal(element.events.length, 0);
    started(socket, "rep-1", "Ada");
    assert.ok(element.hasAttribute("typing"));
    await pass(20_000);
    assert.ok(!element.hasAttribute("typing"));
    assert.deepEqual(element.events.map(({ type, detail }) => [type, detail.typing.length]), [["change", 1], ["change", 0]]);
    assert.equal(element.shadow.find("span").textContent, "");
  });

  it("types for its page", async () => {
    const { element, socket } = await watching();
    element.input();
    element.stop();
    element.sent();
    assert.deepEqual(socket.take("composing", "paused", "sent").map(({ type }) => type), ["composing", "paused", "sent"]);
  });

  it("connects once, with all its attributes", async () => {
    await place({ src: "/typing/v1/socket", ticket: "first", ...CONVERSATION });
    assert.equal(FakeWebSocket.all.length, 1);
    assert.equal(FakeWebSocket.last.url.href, "wss://chat.example/typing/v1/socket?ticket=first");
    FakeWebSocket.last.hello();
    assert.deepEqual(FakeWebSocket.last.take("subscribe"), [{ type: "subscribe", id: "1", ...CONVERSATION }]);
  });

  it("uses its ticket once, and renew from then on", async () => {
    const renew = mock.fn(async () => "next");
    const { socket } = await watching({ renew });
    assert.equal(renew.mock.callCount(), 0);
    socket.drop();
    await pass(2_000);
    assert.equal(FakeWebSocket.last.url.searchParams.get("ticket"), "next");
    await place({ src: "/s" }, { renew });
    assert.equal(renew.mock.callCount(), 2);
  });

  it("stays connected when it is moved, and leaves when it is removed", async () => {
    const { element, socket } = await watching();
    started(socket, "rep-1", "Ada");
    remove(element);
    insert(element);
    await settle();
    assert.equal(FakeWebSocket.all.length, 1);
    assert.ok(!socket.closed);
    assert.ok(element.hasAttribute("typing"));
    remove(element);
    await settle();
    assert.ok(socket.closed);
    assert.ok(!element.hasAttribute("typing"));
    element.input();
    await pass(60_000);
    assert.equal(FakeWebSocket.all.length, 1);
    insert(element);
    await settle();
    assert.equal(FakeWebSocket.all.length, 2);
  });

  it("watches another conversation when its attributes change", async () => {
    const { element, socket } = await watching();
    started(socket, "rep-1", "Ada");
    element.setAttribute("user", "+14155550199");
    element.setAttribute("channel", "kaleyra");
    await settle();
    assert.ok(socket.closed);
    assert.equal(FakeWebSocket.all.length, 2);
    assert.ok(!element.hasAttribute("typing"));
  });

  it("shares a client, which it leaves open", async () => {
    const client = connect({ src: "/s", ticket: "first", WebSocket: FakeWebSocket });
    await settle();
    const socket = FakeWebSocket.last;
    socket.hello();
    const one = await place(CONVERSATION, { client });
    await place({ channel: "kaleyra" }, { client });
    assert.equal(FakeWebSocket.all.length, 1);
    assert.deepEqual(socket.take("subscribe").map(({ channel }) => channel), ["pinnacle", "kaleyra"]);
    remove(one);
    await settle();
    assert.deepEqual(socket.take("unsubscribe"), [{ type: "unsubscribe", id: "1" }]);
    assert.equal(client.state, "open");
    client.close();
  });

  it("takes a client after it was connected, and another one", async () => {
    const clients = [0, 1].map(() => connect({ src: "/s", ticket: "first", WebSocket: FakeWebSocket }));
    await settle();
    const [first, second] = FakeWebSocket.all;
    first.hello();
    second.hello();
    const element = await place(CONVERSATION);
    element.client = clients[0];
    await settle();
    assert.equal(element.client, clients[0]);
    assert.equal(first.take("subscribe").length, 1);
    element.client = clients[0];
    await settle();
    assert.equal(first.take("subscribe").length, 0);
    element.client = clients[1];
    await settle();
    assert.equal(first.take("unsubscribe").length, 1);
    assert.equal(second.take("subscribe").length, 1);
    clients.forEach((client) => client.close());
  });

  it("takes properties that were set before the upgrade", async () => {
    const client = connect({ src: "/s", ticket: "first", WebSocket: FakeWebSocket });
    await settle();
    FakeWebSocket.last.hello();
    // An upgrade runs the constructor on an object that has properties already.
    const HTMLElement = Object.getPrototypeOf(TypingDots);
    class Upgraded extends HTMLElement {
      constructor() {
        super();
        Object.assign(this, { client, labels: { one: "{name} schreibt" }, renew: () => "next" });
      }
    }
    Object.setPrototypeOf(TypingDots, Upgraded);
    Object.setPrototypeOf(TypingDots.prototype, Upgraded.prototype);
    const element = await place(CONVERSATION);
    Object.setPrototypeOf(TypingDots, HTMLElement);
    Object.setPrototypeOf(TypingDots.prototype, HTMLElement.prototype);
    assert.equal(FakeWebSocket.last.take("subscribe").length, 1);
    assert.equal(element.renew(), "next");
    FakeWebSocket.last.say({ type: "started", ...lease({ name: "David" }) });
    assert.equal(element.shadow.find("span").textContent, "David schreibt");
    element.client = undefined;
    await settle();
    assert.equal(FakeWebSocket.last.take("unsubscribe").length, 1);
    client.close();
  });

  it("does nothing without an address", async () => {
    const element = await place({ channel: "pinnacle" });
    element.input();
    element.stop();
    element.sent();
    await pass(60_000);
    assert.equal(FakeWebSocket.all.length, 0);
  });

  it("is defined, and has its properties where frameworks look for them", async () => {
    assert.equal(customElements.get("typing-dots"), TypingDots);
    const element = new TypingDots();
    for (const name of ["client", "labels", "renew"]) assert.ok(name in element, name);
  });
});
