// Two reps in one conversation see of each other that somebody is answering already.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { salesforce } from "./support/doors.js";
import { scene } from "./support/scene.js";
import { viewOf } from "./support/view.js";

/** Two windows of one profile, each with a rep, in the conversation of a user who asked something. */
const twoReps = async (t, names) => {
  const { server, open, profile } = await scene(t);
  const context = await profile();
  const reps = [await open({ rep: names[0], context }), await open({ rep: names[1], context })];
  await salesforce(server).writes("Where is my order?");
  for (const rep of reps) await rep.desk.messages.filter({ hasText: "Where is my order?" }).waitFor();
  for (const rep of reps) await rep.connected();
  return reps;
};

describe("two reps", { concurrency: 2 }, () => {
  test("each of two reps is told that the other is already answering, and neither of themselves", async (t) => {
    const [ada, grace] = await twoReps(t, ["Ada", "Grace"]);
    await ada.desk.input.pressSequentially("It left");
    await grace.desk.peer.waitFor();
    assert.equal(await grace.desk.peer.textContent(), "Ada is already answering");
    assert.deepEqual(await ada.spans("desk-peer"), []);

    await grace.desk.input.pressSequentially("Let me look");
    await ada.desk.peer.waitFor();
    assert.equal(await ada.desk.peer.textContent(), "Grace is already answering");
    assert.equal(await grace.desk.peer.textContent(), "Ada is already answering");
    assert.match(await grace.handset.dots.textContent(), /Ada and Grace are typing/);
  });

  test("a rep who closes the window is not answering any more", async (t) => {
    const [ada, grace] = await twoReps(t, ["Ada", "Grace"]);
    await ada.desk.input.pressSequentially("It left");
    await grace.desk.peer.waitFor();
    await grace.handset.dots.waitFor();
    const closed = Date.now();
    await ada.page.close();
    await grace.desk.peer.waitFor({ state: "detached" });
    await grace.handset.dots.waitFor({ state: "detached" });
    const took = (await grace.spans("desk-peer"))[0].off - closed;
    t.diagnostic(`gone ${took} ms after the window`);
    assert.ok(took < 2000 + (await grace.lateness()), `gone only ${took} ms after the window`);
  });

  test("a rep who sends is not answering any more, and the message says whose it is", async (t) => {
    const [ada, grace] = await twoReps(t, ["Ada", "Grace"]);
    await grace.desk.input.pressSequentially("Let");
    await ada.desk.peer.waitFor();
    await ada.desk.input.pressSequentially("It left today.");
    await grace.desk.peer.waitFor();
    await ada.desk.input.press("Enter");
    await grace.desk.messages.filter({ hasText: "It left today." }).waitFor();
    await grace.desk.peer.waitFor({ state: "detached" });
    const thread = grace.page.getByRole("region", { name: "Messages of this conversation" });
    await thread.getByRole("listitem").filter({ hasText: "It left today." }).getByText("Ada", { exact: true }).waitFor();
  });

  test("two reps of the same name are two people all the same", async (t) => {
    const [one, other] = await twoReps(t, ["Ada", "Ada"]);
    await one.desk.input.pressSequentially("It");
    await other.desk.peer.waitFor();
    assert.deepEqual(await one.spans("desk-peer"), []);
  });

  test("a tab that was opened as a copy of another is a rep of its own", async (t) => {
    const { server, open, profile } = await scene(t);
    const context = await profile();
    const one = await open({ context });
    const opened = context.waitForEvent("page");
    // It comes with a copy of the session storage.
    await one.page.evaluate(() => void window.open("/"));
    const other = viewOf(await opened);
    await other.connected();
    await salesforce(server).writes("Hello");
    for (const rep of [one, other]) await rep.desk.messages.waitFor();
    for (const rep of [one, other]) await rep.connected();
    await one.desk.input.pressSequentially("It");
    await other.desk.peer.waitFor();
    assert.deepEqual(await one.spans("desk-peer"), []);
  });

  test("a rep who takes another name is seen under it", async (t) => {
    const [ada, grace] = await twoReps(t, ["Ada", "Grace"]);
    await ada.desk.rep.fill("Augusta");
    await ada.desk.rep.press("Enter");
    await ada.connected();
    await ada.desk.input.pressSequentially("It");
    await grace.desk.peer.filter({ hasText: "Augusta is already answering" }).waitFor();
  });
});
