// For whoever does not look: typing is said once, calmly. For whoever is disturbed by movement: nothing moves.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PINNACLE, pinnacle, salesforce } from "./support/doors.js";
import { scene } from "./support/scene.js";

const BRIEF = { "pinnacle-ttl-ms": 3500, "salesforce-ttl-ms": 3500 };

describe("what is said, and what moves", { concurrency: 2 }, () => {
  for (const { door, where, says } of [
    { door: pinnacle, where: "handset", says: "agent_x is typing" },
    { door: salesforce, where: "desk", says: "David Wood is typing" },
  ]) {
    test(`that somebody types is said once on the ${where}, however often it is repeated`, async (t) => {
      const { server, open } = await scene(t, { flags: BRIEF });
      const view = await open();
      const { types } = door(server);
      for (let i = 0; i < 3; i++) await types();
      await view.shown(`${where}-dots`);
      for (let i = 0; i < 3; i++) await types();
      await view.episodes(`${where}-dots`);
      assert.deepEqual(await view.said(`${where}-live`), [says]);
      await types();
      await view.episodes(`${where}-dots`, 2);
      assert.deepEqual(await view.said(`${where}-live`), [says, says], "the next time it is news again");
    });
  }

  test("that another rep answers is said once", async (t) => {
    const { server, open } = await scene(t);
    const [ada, grace] = [await open({ rep: "Ada" }), await open({ rep: "Grace" })];
    await salesforce(server).writes("Hello");
    for (const rep of [ada, grace]) await rep.desk.messages.waitFor();
    await ada.connected();
    await ada.desk.input.pressSequentially("Let me look into that", { delay: 20 });
    await grace.desk.peer.waitFor();
    await ada.desk.input.fill("");
    await grace.desk.peer.waitFor({ state: "detached" });
    assert.deepEqual(await grace.said("desk-live"), ["Ada is already answering"]);
    assert.deepEqual(await ada.said("desk-live"), []);
  });

  test("with reduced motion the dots are there and do not move", async (t) => {
    const { server, open } = await scene(t);
    const view = await open({ reducedMotion: "reduce" });
    await pinnacle(server).types();
    await salesforce(server).types();
    await view.choose(PINNACLE);
    await view.handset.dots.waitFor();
    await view.desk.typing.waitFor();
    const moving = () => view.page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === "running").length);
    assert.equal(await moving(), 0);
  });

  test("without that wish they do move", async (t) => {
    const { server, open } = await scene(t);
    const view = await open({ reducedMotion: "no-preference" });
    await pinnacle(server).types();
    await view.handset.dots.waitFor();
    const moving = await view.handset.dots.evaluate((node) => node.getAnimations({ subtree: true }).length);
    assert.ok(moving >= 3, `${moving} of three dots move`);
  });
});
