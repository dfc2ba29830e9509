// One conversation has one place: who writes on the handset meets the rep there, whatever the channel.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { kaleyra, pinnacle, salesforce } from "./support/doors.js";
import { scene } from "./support/scene.js";
import { until } from "./support/wait.js";

const PHONE = "+14155550199";

const CHANNELS = [
  { channel: "kaleyra", agent: "kio_rcs", user: PHONE, written: PHONE, door: kaleyra },
  { channel: "pinnacle", agent: "agent_x", user: PHONE, written: "1 (415) 555-0199", door: pinnacle },
  { channel: "salesforce", agent: "desk", user: "Zoë O’Brien & Sons", written: "  Zoë O’Brien & Sons ", door: salesforce },
];

describe("one conversation in one place", { concurrency: 2 }, () => {
  for (const { channel, agent, user, written, door } of CHANNELS) {
    test(`a new user on ${channel} and the rep meet in one conversation, and so does a call to the channel's door`, async (t) => {
      const { server, open } = await scene(t);
      const view = await open({ rep: "Ada" });
      await view.meet({ channel, agent, user: written });
      assert.equal(await view.desk.rows.count(), 0, "the desk knows of nobody who has not said anything");
      assert.equal(await view.handset.user.inputValue(), user);

      await view.handset.input.pressSequentially("Is it open?");
      await view.row({ channel, agent, user }).getByTestId("desk-typing").waitFor();
      await view.handset.input.press("Enter");
      await view.desk.messages.getByText("Is it open?", { exact: true }).waitFor();

      await view.desk.input.pressSequentially("Until six.");
      await view.handset.dots.waitFor();
      await view.desk.input.press("Enter");
      await view.handset.messages.getByText("Until six.", { exact: true }).waitFor();

      await door(server, { agent, user }).writes("And now this");
      for (const side of ["handset", "desk"]) {
        await view[side].messages.getByText("And now this", { exact: true }).waitFor();
        assert.deepEqual(await view[side].messages.allInnerTexts(), ["Is it open?", "Until six.", "And now this"]);
      }
      assert.equal(await view.desk.rows.count(), 1);
    });
  }

  test("a user who is no phone number is not let onto a channel of phone numbers", async (t) => {
    const { open } = await scene(t);
    const { page } = await open();
    await page.getByRole("button", { name: "New user" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Channel").selectOption("pinnacle");
    const user = dialog.getByLabel("User", { exact: true });
    await user.fill("David Wood");
    await dialog.getByRole("button", { name: "Open the conversation" }).click();
    assert.match(await user.evaluate((input) => input.validationMessage), /phone number with its country code/);
    assert.ok(await dialog.isVisible());
  });

  test("with many conversations, the desk shows who types in which, newest first, and each keeps its own messages", async (t) => {
    const { server, open } = await scene(t, { flags: { "salesforce-ttl-ms": 60_000 } });
    const view = await open();
    const users = ["+14155550101", "+14155550102", "+14155550103"];
    for (const user of users) await pinnacle(server, { user }).writes(`To ${user}`);
    await salesforce(server).types();
    await view.row({ channel: "salesforce", agent: "desk", user: "David Wood" }).getByTestId("desk-typing").waitFor();
    assert.equal(await view.desk.typing.count(), 1);
    const wanted = ["David Wood", ...users.toReversed()].join(", ");
    await until(wanted, async () => (await view.desk.rows.evaluateAll((rows) => rows.map((row) => row.dataset.user))).join(", ") === wanted);
    await view.choose({ channel: "pinnacle", agent: "agent_x", user: users[0] });
    await view.desk.messages.getByText(`To ${users[0]}`).waitFor();
    assert.equal(await view.desk.messages.count(), 1);
    assert.equal(await view.desk.dots.count(), 0, "the dots of another conversation are not shown here");
  });

  test("dots on one user's handset are not shown on another's", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    await pinnacle(server, { user: "+14155550101" }).writes("One");
    await pinnacle(server, { user: "+14155550102" }).writes("Two");
    await view.choose({ channel: "pinnacle", agent: "agent_x", user: "+14155550101" });
    await pinnacle(server, { user: "+14155550102" }).types();
    const second = await open();
    await second.choose({ channel: "pinnacle", agent: "agent_x", user: "+14155550102" });
    await second.handset.dots.waitFor();
    assert.deepEqual(await view.spans("handset-dots"), []);
  });
});
