// Whoever types into one of the page's two boxes is seen on the other side, and heard of by the gateway not too often.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PINNACLE } from "./support/doors.js";
import { scene } from "./support/scene.js";
import { until } from "./support/wait.js";

const IDLE_MS = 5000;
const REPEAT_MS = 5000;

const SIDES = [
  { who: "the user", from: "handset", to: "desk" },
  { who: "the rep", from: "desk", to: "handset" },
];

/** A page whose user has said hello to the rep, with nobody typing. */
const begun = async (t) => {
  const { open } = await scene(t);
  const view = await open({ rep: "Ada" });
  await view.meet(PINNACLE);
  await view.handset.input.fill("Hello");
  await view.handset.send.click();
  await view.desk.messages.filter({ hasText: "Hello" }).waitFor();
  await view.handset.dots.or(view.desk.dots).waitFor({ state: "detached" });
  const [earlier, before] = [view.frames.length, (await view.spans("desk-dots")).length];
  return {
    ...view,
    /** What was said on the sockets since. */
    signals: () => view.frames.slice(earlier).filter(({ type }) => ["composing", "paused", "sent"].includes(type)),
    /** When dots were shown since. */
    dotsOf: async (side) => (await view.spans(`${side}-dots`)).slice(side === "desk" ? before : 0),
  };
};

describe("in the page's boxes", { concurrency: 2 }, () => {
  for (const { who, from, to } of SIDES) {
    test(`while ${who} types, the ${to} shows dots, and the ${from} none`, async (t) => {
      const view = await begun(t);
      await view[from].input.pressSequentially("How");
      await view[to].dots.waitFor();
      assert.equal(await view[from].dots.count(), 0);
      if (from === "desk") assert.match(await view.handset.dots.textContent(), /Ada is typing/);
      if (from === "handset") await view.row(PINNACLE).getByTestId("desk-typing").waitFor();
    });

    test(`what ${who} sends takes the dots away and stands on both sides`, async (t) => {
      const view = await begun(t);
      await view[from].input.pressSequentially("How are you?");
      await view[to].dots.waitFor();
      await view[from].input.press("Enter");
      const pressed = Date.now();
      for (const side of ["handset", "desk"]) await view[side].messages.filter({ hasText: "How are you?" }).waitFor();
      await view[to].dots.waitFor({ state: "detached" });
      const [span] = await view.dotsOf(to);
      assert.ok(span.off - pressed < 300 + (await view.lateness()), `gone ${span.off - pressed} ms after the key`);
      assert.equal(await view[from].input.inputValue(), "");
      assert.deepEqual(view.signals().map(({ type }) => type), ["composing", "sent"]);
    });

    test(`when ${who} clears the box, the dots go at once`, async (t) => {
      const view = await begun(t);
      await view[from].input.pressSequentially("No");
      await view[to].dots.waitFor();
      await view[from].input.press("Backspace");
      assert.equal((await view.dotsOf(to)).at(-1).off, undefined, "a letter is left");
      await view[from].input.press("Backspace");
      const pressed = Date.now();
      await view[to].dots.waitFor({ state: "detached" });
      const [span] = await view.dotsOf(to);
      assert.ok(span.off - pressed < 300 + (await view.lateness()), `gone ${span.off - pressed} ms after the key`);
      assert.deepEqual(view.signals().map(({ type }) => type), ["composing", "paused"]);
    });

    test(`when ${who} falls silent over a half-written text, the dots go after ${IDLE_MS / 1000} s`, async (t) => {
      const view = await begun(t);
      const before = Date.now();
      await view[from].input.press("W");
      const after = Date.now();
      await until("the page says that the typing stopped", () => view.signals().some(({ type }) => type === "paused"));
      await view[to].dots.waitFor({ state: "detached" });
      const [span] = await view.dotsOf(to);
      t.diagnostic(`gone ${span.off - after} ms after the last key`);
      assert.ok(span.off - before >= IDLE_MS, `gone ${span.off - before} ms after the last key`);
      assert.ok(span.off - after < IDLE_MS + 500 + (await view.lateness()), `gone ${span.off - after} ms after the last key`);
      assert.equal(await view[from].input.inputValue(), "W", "the text stays");
    });
  }

  test("who types on and on says so once in 5 s, and the dots stay on", async (t) => {
    const view = await begun(t);
    const text = "It left our house this morning, it will be there soon.";
    await view.desk.input.pressSequentially(text, { delay: 200, timeout: 90_000 });
    const composing = view.signals().filter(({ type }) => type === "composing");
    const gaps = composing.slice(1).map(({ at }, i) => at - composing[i].at);
    t.diagnostic(`${text.length} keys, ${composing.length} signals, ${gaps.join(" and ")} ms apart`);
    assert.ok(composing.length >= 2, "it is repeated");
    // They are timed where they are heard of, which may be late for one and not for the next.
    for (const gap of gaps) assert.ok(gap >= REPEAT_MS - 500, `two signals within ${gap} ms`);
    const spans = await view.dotsOf("handset");
    assert.equal(spans.length, 1);
    assert.equal(spans[0].off, undefined);
  });
});
