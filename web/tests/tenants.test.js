// In serve mode people log in, see their own tenant and nothing else, and leave no key behind in the browser.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { native, pinnacle } from "./support/doors.js";
import { scene } from "./support/scene.js";

const USER = "+14155550123";
const TENANTS = [
  { name: "acme", key: "acme-secret-key", pinnacle: "acme-pinnacle-key", agent: "agent_acme" },
  { name: "globex", key: "globex-secret-key", pinnacle: "globex-pinnacle-key", agent: "agent_globex" },
];
const [ACME, GLOBEX] = TENANTS;
const TOML = `[console]
enabled = true
${TENANTS.map(
  ({ name, key, pinnacle, agent }) => `[[tenants]]
name = "${name}"
api_keys = ["${key}"]
[[tenants.pinnacle]]
api_keys = ["${pinnacle}"]
agents = ["${agent}"]
`,
).join("")}`;

// The browser notes each refusal, and being told that a login is needed is one.
const REFUSED = /status of 401 .*\/console\/session/;

/** A server of two tenants, and how to log in to it. */
const tenants = async (t) => {
  const it = await scene(t, { toml: TOML });
  it.forgive(REFUSED);
  return {
    ...it,
    async logIn({ key }, options) {
      const view = await it.open({ connected: false, ...options });
      await view.page.getByLabel("API key").fill(key);
      await view.page.getByRole("button", { name: "Log in" }).click();
      await view.connected();
      return view;
    },
  };
};

describe("two tenants", { concurrency: 2 }, () => {
  test("a wrong key is refused in words, and the right one lets in after it", async (t) => {
    const { open } = await tenants(t);
    const { page, connected } = await open({ connected: false });
    await page.getByTestId("login-form").waitFor();
    assert.equal(await page.getByTestId("handset").isVisible(), false, "nothing is shown before");
    await page.getByLabel("API key").fill("guessed");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").filter({ hasText: "That key is not known." }).waitFor();
    await page.getByLabel("API key").fill(ACME.key);
    await page.keyboard.press("Enter");
    await connected();
    await page.getByText("acme", { exact: true }).waitFor();
    assert.equal(await page.getByTestId("login-form").isVisible(), false);
  });

  test("each login sees its own tenant's conversations, dots and commands, and none of the other's", async (t) => {
    const { server, logIn } = await tenants(t);
    const [acme, globex] = [await logIn(ACME), await logIn(GLOBEX)];
    await pinnacle(server, { agent: ACME.agent, key: ACME.pinnacle }).types();
    await acme.handset.dots.waitFor();
    await pinnacle(server, { agent: GLOBEX.agent, key: GLOBEX.pinnacle }).types();
    await globex.handset.dots.waitFor();

    for (const [view, own, other] of [[acme, ACME, GLOBEX], [globex, GLOBEX, ACME]]) {
      await view.row({ channel: "pinnacle", agent: own.agent, user: USER }).waitFor();
      assert.equal(await view.desk.rows.count(), 1);
      const everything = await view.page.locator("html").innerHTML();
      for (const secret of [other.name, other.agent, own.key, own.pinnacle, other.key, other.pinnacle]) {
        assert.ok(!everything.includes(secret), `${own.name} finds ${secret} on the page`);
      }
    }
  });

  test("what one tenant's user types reaches that tenant's rep only", async (t) => {
    const { server, logIn } = await tenants(t);
    const [acme, globex] = [await logIn(ACME), await logIn(GLOBEX)];
    // The same agent and user: all that differs is the tenant.
    const conversation = { channel: "pinnacle", agent: ACME.agent, user: USER };
    for (const { key } of TENANTS) await native(server, { key }).signal(conversation, "agent", "sent");
    for (const view of [acme, globex]) await view.row(conversation).waitFor();
    await acme.connected();
    await acme.handset.input.pressSequentially("Hello");
    await acme.desk.dots.waitFor();
    await native(server, { key: GLOBEX.key }).signal(conversation, "agent", "composing");
    await globex.handset.dots.waitFor();
    assert.deepEqual(await globex.spans("desk-dots"), []);
    assert.deepEqual(await acme.spans("handset-dots"), []);
  });

  test("the key stays nowhere in the browser, and scripts cannot read the session", async (t) => {
    const { logIn, profile } = await tenants(t);
    const context = await profile();
    const { page } = await logIn(ACME, { context });
    const kept = await page.evaluate(async () => ({
      cookie: document.cookie,
      local: JSON.stringify(localStorage),
      session: JSON.stringify(sessionStorage),
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      workers: (await navigator.serviceWorker.getRegistrations()).length,
      url: location.href,
      typed: document.getElementById("api-key").value,
      state: JSON.stringify(history.state),
    }));
    assert.equal(kept.cookie, "");
    assert.equal(kept.typed, "");
    assert.deepEqual([kept.databases, kept.caches, kept.workers], [[], [], 0]);
    const everything = JSON.stringify(kept);
    const [cookie, ...others] = await context.cookies();
    assert.deepEqual(others, []);
    assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict", JSON.stringify(cookie));
    for (const secret of [ACME.key, cookie.value]) assert.ok(!everything.includes(secret), everything);
    assert.ok(!cookie.value.includes(ACME.key));
  });

  test("a reload stays logged in, logging out ends it for good, in every window", async (t) => {
    const { server, logIn, open, profile, forgive } = await tenants(t);
    forgive(/ERR_ABORTED|status of 401/);
    const context = await profile();
    const view = await logIn(ACME, { context });
    await view.page.reload();
    await view.connected();
    const second = await open({ context });
    const [{ name, value }] = await context.cookies();

    await view.page.getByRole("button", { name: "Log out" }).click();
    await view.page.getByTestId("login-form").waitFor();
    await second.page.getByTestId("login-form").waitFor();
    assert.deepEqual(await context.cookies(), []);
    const answer = await fetch(`${server.url}/console/session`, { headers: { Cookie: `${name}=${value}` } });
    assert.equal(answer.status, 401, "a copy of the cookie is worth nothing either");
  });

  test("without dev mode no message is kept, but typing shows all the same", async (t) => {
    const { server, logIn } = await tenants(t);
    const view = await logIn(ACME);
    const { types, writes } = pinnacle(server, { agent: ACME.agent, key: ACME.pinnacle });
    await types();
    await view.handset.dots.waitFor();
    await writes("A secret");
    await view.handset.dots.waitFor({ state: "detached" });
    await view.page.getByText("typingd keeps no messages").waitFor();
    assert.ok(!(await view.page.locator("html").innerHTML()).includes("A secret"));
  });
});
