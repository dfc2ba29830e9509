// Dots are on exactly while somebody is typing: from the call to the end of its time, or to the message.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KALEYRA, PINNACLE, SALESFORCE, kaleyra, pinnacle, salesforce } from "./support/doors.js";
import { assertAppearedSoon, assertEndedOnTime } from "./support/time.js";
import { scene } from "./support/scene.js";

const BRIEF_MS = 3000;
const BRIEF = { "kaleyra-ttl-ms": BRIEF_MS, "pinnacle-ttl-ms": BRIEF_MS, "salesforce-ttl-ms": BRIEF_MS };

const DOORS = [
  { name: "Kaleyra's", door: kaleyra, of: KALEYRA, where: "handset" },
  { name: "Pinnacle's", door: pinnacle, of: PINNACLE, where: "handset" },
  { name: "Salesforce's", door: salesforce, of: SALESFORCE, where: "desk" },
];

describe("dots are on while somebody types", { concurrency: 3 }, () => {
  for (const { name, door, of, where } of DOORS) {
    test(`after a call to ${name} door the ${where} shows dots, until the time it was told is over`, async (t) => {
      const { server, open } = await scene(t, { flags: BRIEF });
      const view = await open();
      const call = await door(server).types();
      assert.equal(call.decision, "started");
      await view.row(of).waitFor();
      const [span] = await view.episodes(`${where}-dots`);
      await assertAppearedSoon(t, view, span, call);
      await assertEndedOnTime(t, view, span, call);
      const other = where === "desk" ? "handset-dots" : "desk-dots";
      assert.deepEqual(await view.spans(other), [], "the other side sees none: nobody sees themselves type");
    });

    test(`a message at ${name} door ends the dots at once and stands in their place`, async (t) => {
      const { server, open } = await scene(t);
      const view = await open();
      const { types, writes } = door(server);
      await types();
      await view[where].dots.waitFor();
      const sent = await writes("Good morning");
      assert.equal(sent.decision, "ended");
      const [span] = await view.episodes(`${where}-dots`);
      const late = span.off - sent.answered;
      assert.ok(late < 300 + (await view.lateness()), `the dots go ${late} ms after the message`);
      await view.handset.messages.filter({ hasText: "Good morning" }).waitFor();
      await view.desk.messages.filter({ hasText: "Good morning" }).waitFor();
      assert.equal(await view.handset.messages.count(), 1, "once");
    });

    test(`who repeats a call to ${name} door keeps the ${where}'s dots on without a flicker`, async (t) => {
      const { server, open } = await scene(t, { flags: BRIEF });
      const view = await open();
      const first = await door(server).types();
      await view.shown(`${where}-dots`);
      const again = await door(server).types();
      assert.equal(again.decision, "extended");
      const spans = await view.episodes(`${where}-dots`);
      assert.equal(spans.length, 1, "shown once");
      assert.ok(spans[0].off > first.endsBetween[1], "longer than the first call was good for");
      await assertEndedOnTime(t, view, spans[0], again);
    });
  }

  test("an end user who stops without a message takes the desk's dots away, in the list as well", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const { types, stops } = salesforce(server);
    await types();
    await view.desk.dots.waitFor();
    await view.desk.typing.waitFor();
    await stops();
    await view.desk.dots.waitFor({ state: "detached" });
    await view.desk.typing.waitFor({ state: "detached" });
    assert.equal(await view.desk.messages.count(), 0);
  });

  test("a window opened in the middle shows the dots for what is left of their time", async (t) => {
    const { server, open } = await scene(t, { flags: { "pinnacle-ttl-ms": 6000 } });
    const call = await pinnacle(server).types();
    const view = await open();
    const [span] = await view.episodes("handset-dots");
    await assertEndedOnTime(t, view, span, call);
  });
});
