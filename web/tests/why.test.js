// The page answers why the dots are on, or not, in a sentence, and shows what it is drawn from.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { native, PINNACLE, pinnacle, SALESFORCE, salesforce } from "./support/doors.js";
import { scene } from "./support/scene.js";
import { until } from "./support/wait.js";

/** Waits until the answer says this. */
const answers = (view, pattern) => view.why.answer.filter({ hasText: pattern }).waitFor();

const entry = (view, what, more = {}) => {
  const given = Object.entries({ what, ...more }).map(([name, value]) => `[data-${name}="${value}"]`);
  return view.why.entries.and(view.page.locator(given.join("")));
};

describe("why the dots are on, or not", { concurrency: 2 }, () => {
  test("on, after a call: who, since when, by which door, until when", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    await pinnacle(server).types();
    await answers(view, /On: agent_x has been typing since \d\d:\d\d:\d\d, vouched for by Pinnacle's door, until \d\d:\d\d:\d\d unless repeated\./);
    await entry(view, "composing", { decision: "started", composer: "agent" }).waitFor();
    await entry(view, "started", { kind: "change" }).waitFor();
    await answers(view, /Dots on the handset/);
  });

  test("off, after a message: by the message, and how long ago, which goes on counting", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const { types, writes } = salesforce(server);
    await types();
    await answers(view, /On: David Wood has been typing/);
    await writes("Hello");
    await answers(view, /Off: ended \d s ago by the message\./);
    const seconds = async () => Number((await view.why.answer.textContent()).match(/ended (\d+) s ago/)[1]);
    const first = await seconds();
    await until("the answer's time moves", async () => (await seconds()) >= first + 2);
    await entry(view, "stopped").filter({ hasText: "by the message" }).waitFor();
  });

  test("off, after the time was over: it ran out", async (t) => {
    const { server, open } = await scene(t, { flags: { "pinnacle-ttl-ms": 4000 } });
    const view = await open();
    await pinnacle(server).types();
    await answers(view, /On: agent_x/);
    await answers(view, /Off: ran out \d s ago: nobody repeated it\./);
    await entry(view, "stopped").filter({ hasText: "ran out" }).waitFor();
  });

  test("off, after a stop without a message", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const { types, stops } = salesforce(server);
    await types();
    await answers(view, /On: David Wood/);
    await stops();
    await answers(view, /Off: stopped \d s ago, without a message\./);
  });

  test("off, although somebody typed: the signal's turn was over", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const say = native(server);
    await say.signal(PINNACLE, "agent", "sent", { turn: 5 });
    const late = await say.signal(PINNACLE, "agent", "composing", { turn: 5 });
    assert.match(late.decision, /ignored/);
    await answers(view, /Off: the signal was ignored \d s ago: its turn was over\./);
    await entry(view, "composing", { decision: "ignored" }).filter({ hasText: "its turn was over" }).waitFor();
    assert.deepEqual(await view.spans("handset-dots"), []);
  });

  test("off, after a rep's window was closed: taken back", async (t) => {
    const { server, open } = await scene(t);
    const [ada, grace] = [await open({ rep: "Ada" }), await open({ rep: "Grace" })];
    await salesforce(server).writes("Hello");
    for (const rep of [ada, grace]) await rep.desk.messages.waitFor();
    await ada.connected();
    await ada.desk.input.pressSequentially("It");
    await answers(grace, /On: Ada has been typing since .* vouched for by an open socket/);
    await ada.page.close();
    await answers(grace, /Off: taken back \d s ago/);
  });

  test("each of several who type is named", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    for (const name of ["Ada", "Grace"]) await native(server).signal(PINNACLE, "agent", "composing", { participant: name, name });
    await answers(view, /On: (Ada and Grace|Grace and Ada) have been typing/);
  });

  test("a signal that is repeated stands there once, with how often it came", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    for (let i = 0; i < 4; i++) await pinnacle(server).types();
    const repeated = entry(view, "composing", { decision: "extended" });
    await repeated.filter({ hasText: "3 times" }).waitFor();
    assert.equal(await repeated.count(), 1);
    assert.equal(await entry(view, "composing", { decision: "started" }).count(), 1);
  });

  test("newest first, with times that move on by themselves", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    await pinnacle(server).types();
    await pinnacle(server).writes("Hello");
    await entry(view, "sent").waitFor();
    const order = await view.why.entries.evaluateAll((all) => all.map(({ dataset }) => dataset.what));
    assert.ok(order.indexOf("sent") < order.indexOf("composing"), order.join(", "));
    const time = entry(view, "sent").locator("time");
    await until("the entry's time moves", async () => /^[2-9] s$/.test(await time.textContent()));
  });

  test("the answer is about the conversation that is open, and no other", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    await salesforce(server).types();
    await answers(view, /On: David Wood/);
    await pinnacle(server).writes("Hello");
    await view.choose(PINNACLE);
    await answers(view, /Off: a message came \d s ago while nobody was typing\./);
    assert.doesNotMatch(await view.why.answer.textContent(), /David Wood/);
    await view.choose(SALESFORCE);
    await answers(view, /On: David Wood/);
  });

  test("no message's text is in it", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    await pinnacle(server).types();
    await pinnacle(server).writes("Between you and me");
    await entry(view, "sent").waitFor();
    assert.doesNotMatch(await view.page.getByTestId("why").innerHTML(), /Between you/);
  });
});
