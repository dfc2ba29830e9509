// The gateway goes away and comes back: the page says so, shows nothing that is not vouched for, and goes on by itself.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { native, pinnacle, PINNACLE } from "./support/doors.js";
import { AWAY, scene } from "./support/scene.js";

const TTL_MS = 5000;
const LONG_MS = 60_000;

describe("when the gateway goes away", { concurrency: 2 }, () => {
  for (const { signal, how } of [
    { signal: "SIGKILL", how: "is killed" },
    { signal: "SIGTERM", how: "is told to leave" },
  ]) {
    test(`when the gateway ${how}, the page says so, and goes on as soon as it is back`, async (t) => {
      const { server, open, forgive } = await scene(t, { flags: { "pinnacle-ttl-ms": TTL_MS } });
      forgive(AWAY);
      const view = await open();
      await pinnacle(server).writes("Hello");
      await view.desk.messages.waitFor();
      await view.connected();

      await server.end(signal);
      await view.isConnection("waiting");
      assert.match(await view.connection.textContent(), /Connection lost/);
      await server.again();
      await view.connected();
      assert.match(await view.connection.textContent(), /^Connected/);

      const call = await pinnacle(server).types();
      assert.equal(call.decision, "started");
      await view.handset.dots.waitFor();
      await view.handset.input.pressSequentially("Still here");
      await view.desk.dots.waitFor();
    });
  }

  test("dots of a gateway that was killed end by themselves, at their time, and do not come back with it", async (t) => {
    const { server, open, forgive } = await scene(t, { flags: { "pinnacle-ttl-ms": TTL_MS } });
    forgive(AWAY);
    const view = await open();
    const call = await pinnacle(server).types();
    await view.handset.dots.waitFor();
    await server.end("SIGKILL");
    await view.isConnection("waiting");
    assert.ok(await view.handset.dots.isVisible(), "they stay for as long as was vouched for");
    const [span] = await view.episodes("handset-dots");
    assert.ok(span.off <= call.endsBetween[1] + 300 + (await view.lateness()), "and no longer");
    await server.again();
    await view.connected();
    assert.equal((await view.spans("handset-dots")).length, 1, "no ghost");
  });

  test("dots that are on when the gateway comes back at once are taken back, since it knows of none", async (t) => {
    const { server, open, forgive } = await scene(t);
    forgive(AWAY);
    const view = await open();
    await native(server).signal(PINNACLE, "agent", "composing", { ttl_ms: LONG_MS });
    await view.handset.dots.waitFor();
    await server.end("SIGKILL");
    await server.again();
    await view.handset.dots.waitFor({ state: "detached" });
    await view.connected();
  });

  test("they are taken back as well where the list knows the conversation no more, before the handset's own line is up", async (t) => {
    const { server, open, forgive } = await scene(t);
    forgive(AWAY, /ERR_FAILED/);
    const view = await open();
    const call = await native(server).signal(PINNACLE, "agent", "composing", { ttl_ms: LONG_MS });
    await view.handset.dots.waitFor();
    const { page } = view;
    await page.route("**/console/tickets", (route) => (route.request().postDataJSON().side === "user" ? route.abort() : route.continue()));
    await page.route("**/console/feed", (route) => route.abort());
    await server.end("SIGKILL");
    await server.again();
    await page.locator(`[data-testid="connection"][title*="Desk's socket: open"]`).waitFor();
    await page.unroute("**/console/feed");
    await view.handset.dots.waitFor({ state: "detached", timeout: LONG_MS });
    const [span] = await view.spans("handset-dots");
    assert.ok(span.off < call.endsBetween[0] - 3000, "not just by themselves");
  });

  test("a gateway that leaves in order takes its dots along", async (t) => {
    const { server, open, forgive } = await scene(t);
    forgive(AWAY);
    const view = await open();
    await native(server).signal(PINNACLE, "agent", "composing", { ttl_ms: LONG_MS });
    await view.handset.dots.waitFor();
    await server.end("SIGTERM");
    await view.handset.dots.waitFor({ state: "detached" });
    await view.isConnection("waiting");
  });

  test("what is half written survives the outage, and goes on being typed after it", async (t) => {
    const { server, open, forgive } = await scene(t);
    forgive(AWAY);
    const view = await open();
    await view.meet(PINNACLE);
    await view.handset.input.pressSequentially("Is anybody");
    await view.desk.dots.waitFor();
    await server.end("SIGKILL");
    await view.isConnection("waiting");
    await server.again();
    await view.connected();
    assert.equal(await view.handset.input.inputValue(), "Is anybody");
    await view.handset.input.pressSequentially(" there?");
    await view.desk.dots.waitFor();
    await view.handset.input.press("Enter");
    await view.desk.messages.filter({ hasText: "Is anybody there?" }).waitFor();
  });

  test("a page that is opened while the gateway is away says so, and begins when it is there", async (t) => {
    const { server, open, forgive } = await scene(t);
    forgive(AWAY);
    const view = await open();
    await view.page.route("**/console/session", (route) => route.abort());
    forgive(/ERR_FAILED/);
    await view.page.reload();
    await view.page.getByText("The gateway does not answer. Trying again…").waitFor();
    await view.page.unroute("**/console/session");
    await view.connected();
    await pinnacle(server).types();
    await view.handset.dots.waitFor();
  });
});
