// What stands in for a browser and a gateway.
import { mock } from "node:test";

/** Lets everything that was promised happen; timers are the test's. */
export const settle = () => new Promise((done) => setImmediate(done));

/** Moves the fake time, and lets happen what follows from it. */
export const pass = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};

export class FakeWebSocket {
  static all = [];
  static get last() {
    return FakeWebSocket.all.at(-1);
  }

  sent = [];
  closed = false;

  constructor(url) {
    this.url = new URL(url);
    FakeWebSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  /** A frame of the gateway's. */
  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  hello(more) {
    this.say({ type: "hello", side: "agent", access: "read_write", participant: "rep-1", ...more });
  }

  /** The line ends. */
  drop(code = 1006, reason = "") {
    this.onclose({ code, reason });
  }

  /** Takes what was sent of these types, without `ref`. */
  take(...types) {
    const taken = this.sent.filter(({ type }) => types.includes(type));
    this.sent = this.sent.filter(({ type }) => !types.includes(type));
    return taken.map(({ ref, ...frame }) => frame);
  }
}

export const CONVERSATION = { channel: "pinnacle", agent: "agent_x", user: "+14155550123" };

export const lease = (more) => ({
  ...CONVERSATION,
  composer: "user",
  started_at: "2026-11-21T21:38:04.209Z",
  expires_at: "2026-11-21T21:38:24.209Z",
  remaining_ms: 20_000,
  origin: "pinnacle",
  ...more,
});
