// axe-core finds nothing serious: in both themes, on a phone and on a desk, in every state that the page can be in.
import { describe, test } from "node:test";
import { native, PINNACLE, pinnacle, salesforce } from "./support/doors.js";
import { assertAccessible } from "./support/axe.js";
import { AWAY, scene } from "./support/scene.js";

const SIZES = [
  { size: "a phone", viewport: { width: 390, height: 844 } },
  { size: "a desktop", viewport: { width: 1440, height: 900 } },
];
const LONG = { ttl_ms: 60_000 };

const CASES = SIZES.flatMap((size) => ["light", "dark"].map((colorScheme) => ({ ...size, colorScheme })));

/** Everything at once: both sides type, another rep answers, messages and a second conversation are there. */
const busy = async (server, view) => {
  await salesforce(server).writes("Hello");
  await pinnacle(server).writes("Hello");
  await view.choose(PINNACLE);
  await native(server).signal(PINNACLE, "user", "composing", LONG);
  await native(server).signal(PINNACLE, "agent", "composing", { participant: "rep-7", name: "Grace", ...LONG });
  for (const part of [view.desk.dots, view.handset.dots, view.desk.peer, view.why.entries.first()]) await part.waitFor();
};

describe("axe-core finds nothing serious", { concurrency: 2 }, () => {
  for (const { size, viewport, colorScheme } of CASES) {
    test(`on ${size}, ${colorScheme}`, async (t) => {
      const { server, open, forgive } = await scene(t);
      const view = await open({ viewport, colorScheme, reducedMotion: "reduce" });
      const { page } = view;
      const look = (where) => assertAccessible(t, page, where);
      await look("empty");
      await busy(server, view);
      await look("busy");
      await page.getByRole("button", { name: "New user" }).click();
      await look("with the dialog open");
      await page.keyboard.press("Escape");
      forgive(AWAY);
      await server.end();
      await view.isConnection("waiting");
      await look("without the gateway");
    });

    test(`on ${size}, ${colorScheme}, logging in`, async (t) => {
      const { open, forgive } = await scene(t, { toml: '[console]\nenabled = true\n[[tenants]]\nname = "acme"\napi_keys = ["a-key"]\n' });
      forgive(/status of 401/);
      const { page } = await open({ viewport, colorScheme, connected: false });
      await page.getByLabel("API key").fill("wrong");
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByRole("alert").filter({ hasText: "not known" }).waitFor();
      await assertAccessible(t, page, "logging in");
    });
  }

  test("in the other theme, by the button, which is remembered", async (t) => {
    const { server, open } = await scene(t);
    const view = await open({ colorScheme: "light" });
    const { page } = view;
    await page.getByTestId("theme-toggle").click();
    await page.locator(':root[data-theme="dark"]').waitFor();
    await busy(server, view);
    await assertAccessible(t, page, "dark by hand");
    await page.reload();
    await page.locator(':root[data-theme="dark"]').waitFor();
    await page.getByTestId("theme-toggle").and(page.locator("[aria-pressed=true]")).waitFor();
  });
});
