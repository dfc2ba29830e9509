// One call is enough: a command runs, and its dots show for as long.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hold } from "./support/hold.js";
import { scene } from "./support/scene.js";

const SECONDS = 60;
/** A second, as promised, and what a busy machine takes to draw. */
const SOON_MS = 2000;

describe("typingd hold", { concurrency: true }, () => {
  test(`shows dots for the ${SECONDS} s that its command takes, without a flicker`, async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const began = Date.now();
    const { exited } = hold(t, server, ["sleep", String(SECONDS)]);
    await view.handset.dots.waitFor();
    await view.why.answer.filter({ hasText: /On: agent_x has been typing since .*vouched for by/ }).waitFor();
    const [span] = await view.episodes("handset-dots", 1, { within: (SECONDS + 20) * 1000 });
    const { code, at, said } = await exited;
    assert.deepEqual({ code, said }, { code: 0, said: "" });
    const late = await view.lateness();
    t.diagnostic(`dots for ${span.off - span.on} ms: from ${span.on - began} ms after the start to ${span.off - at} ms after the end`);
    assert.ok(span.on - began <= SOON_MS + late && Math.abs(span.off - at) <= SOON_MS + late);
    assert.equal((await view.spans("handset-dots")).length, 1);
  });

  test("that is killed takes its dots along", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const { child, exited } = hold(t, server, ["sleep", String(SECONDS)]);
    await view.handset.dots.waitFor();
    child.kill("SIGKILL");
    const { at } = await exited;
    const [span] = await view.episodes("handset-dots");
    t.diagnostic(`gone ${span.off - at} ms after kill -9`);
    assert.ok(span.off - at <= SOON_MS + (await view.lateness()));
  });
});
