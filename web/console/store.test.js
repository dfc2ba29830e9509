import assert from "node:assert/strict";
import { mock, test } from "node:test";

globalThis.document = { hidden: true, addEventListener: () => {} };
mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
const { createStore, keyOf } = await import("./store.js");
const { eachFrame } = await import("./clock.js");

const of = (user) => ({ channel: "pinnacle", agent: "agent_x", user: `+1415555${String(user).padStart(4, "0")}` });
const lease = (user) => ({ ...of(user), composer: "user", started_at: "2026-01-02T12:03:04.000Z" });
const many = (count, fn) => Array.from({ length: count }, (_, i) => fn(i));

test("of more conversations than the list holds, those in which somebody types stay with what was said in them", () => {
  const store = createStore();
  store.setTyping(many(500, lease));
  mock.timers.tick(1000);
  for (let i = 0; i < 500; i++) store.message(of(i), { composer: "user", text: `${i}` });
  mock.timers.tick(1000);
  store.setTyping(many(501, lease).reverse());
  mock.timers.tick(1000);
  assert.equal(store.sorted().length, 501);
  for (let i = 0; i < 500; i++) assert.equal(store.get(keyOf(of(i)))?.messages[0]?.text, `${i}`);
  store.select(keyOf(of(7)));
  store.setTyping([]);
  mock.timers.tick(1000);
  assert.equal(store.sorted().length, 200);
  assert.ok(store.current(), "what is open stays as well");
});

test("what is heard later stands above, within one step of the page's clock as well", (t) => {
  t.mock.method(performance, "now", () => 1000);
  const store = createStore();
  const inOrder = () => store.sorted().map(({ user }) => user);
  for (const user of [1, 2, 3]) store.touch(of(user));
  assert.deepEqual(inOrder(), [3, 2, 1].map((user) => of(user).user));
  store.message(of(2), { composer: "user", text: "Hello" });
  store.setTyping([lease(4)]);
  assert.deepEqual(inOrder(), [4, 2, 3, 1].map((user) => of(user).user));
});

test("a thousand who type are taken in at once", () => {
  const store = createStore();
  let sorts = 0;
  const { sorted } = store;
  store.sorted = () => {
    sorts++;
    return sorted();
  };
  for (let i = 1; i <= 10; i++) store.setTyping(many(1000 + i, lease));
  mock.timers.tick(1000);
  assert.ok(sorts <= 20, `${sorts} times put in order`);
});

test("of all who are told of before a frame is drawn, the last list counts", () => {
  const frames = [];
  globalThis.requestAnimationFrame = (fn) => frames.push(fn);
  const heard = [];
  const hear = eachFrame((...args) => heard.push(args));
  hear([1], "a");
  hear([2], "b");
  assert.deepEqual(heard, []);
  frames.splice(0).forEach((fn) => fn());
  assert.deepEqual(heard, [[[2], "b"]]);
  hear([3]);
  frames.splice(0).forEach((fn) => fn());
  assert.deepEqual(heard.slice(1), [[[3]]]);
  assert.deepEqual(frames, []);
});
