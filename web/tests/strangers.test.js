// Names and messages come from strangers. They are text, wherever they stand.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { kaleyra, native, pinnacle, salesforce, USER } from "./support/doors.js";
import { scene } from "./support/scene.js";

const IMAGE = "<img src=x onerror=alert(1)>";
const SCRIPT = `"><script>alert(2)</script><svg onload=alert(3)>`;
const LINK = "javascript:alert(4)";
// Turns what follows it around, and never turns it back.
const TURNED = "\u202Eדוד Wood";
const LONGEST = "W".repeat(255);

/** Fails where a name has become anything but text. That no dialog opens is seen to by the scene. */
const assertOnlyText = async ({ page }, requests) => {
  assert.equal(await page.locator("img, iframe, object, embed, svg[onload], [onerror], [onload]").count(), 0);
  assert.deepEqual(await page.locator("script").evaluateAll((all) => all.map(({ src }) => new URL(src).pathname)), ["/console/theme.js", "/console/console.js"]);
  assert.deepEqual(await page.locator("a").evaluateAll((all) => all.map((a) => a.getAttribute("href")).filter((href) => !href.startsWith("#"))), []);
  for (const path of requests) assert.doesNotMatch(path, /^\/(x|alert)|^\/console\/x/, "a request that a name asked for");
};

const listen = ({ page }) => {
  const paths = [];
  page.on("request", (request) => paths.push(new URL(request.url()).pathname));
  return paths;
};

describe("text from strangers", { concurrency: 2 }, () => {
  test("an agent named like an image is that text everywhere", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const paths = listen(view);
    const { types, writes } = kaleyra(server, { agent: IMAGE });
    await types();
    await view.handset.dots.filter({ hasText: `${IMAGE} is typing` }).waitFor();
    await view.row({ channel: "kaleyra", agent: IMAGE, user: USER }).getByText(IMAGE).waitFor();
    await view.page.getByTestId("handset").getByRole("heading", { name: IMAGE }).waitFor();
    await writes(SCRIPT);
    for (const side of ["handset", "desk"]) await view[side].messages.getByText(SCRIPT, { exact: true }).waitFor();
    await assertOnlyText(view, paths);
  });

  for (const [what, user] of Object.entries({ "with markup": SCRIPT, "like a link": LINK, "that turns the text around": TURNED, "of 255 letters": LONGEST })) {
    test(`a user's name ${what} is text everywhere, and breaks nothing`, async (t) => {
      const { server, open } = await scene(t);
      const view = await open();
      const paths = listen(view);
      const { types, writes } = salesforce(server, { user });
      await types();
      await view.desk.dots.waitFor();
      assert.equal(await view.desk.dots.locator("bdi").textContent(), user);
      const row = view.desk.rows.first();
      assert.equal(await row.getAttribute("data-user"), user);
      assert.equal(await row.locator("bdi").first().textContent(), user);
      assert.equal(await view.handset.user.inputValue(), user);
      await writes(IMAGE);
      await view.desk.messages.getByText(IMAGE, { exact: true }).waitFor();
      await assertOnlyText(view, paths);
      const [inner, outer] = await view.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(inner <= outer, `${inner - outer} px too wide`);
    });
  }

  test("a rep's name with markup is text on the handset and at the other rep's", async (t) => {
    const { server, open } = await scene(t);
    const [one, other] = [await open({ rep: IMAGE }), await open({ rep: "Grace" })];
    await salesforce(server).writes("Hello");
    await other.desk.messages.waitFor();
    await one.desk.messages.waitFor();
    await one.connected();
    await one.desk.input.pressSequentially("Hi");
    await other.desk.peer.filter({ hasText: `${IMAGE} is already answering` }).waitFor();
    await other.handset.dots.filter({ hasText: `${IMAGE} is typing` }).waitFor();
    for (const view of [one, other]) await assertOnlyText(view, []);
  });

  test("a participant named by the native API is text as well", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    const conversation = { channel: "pinnacle", agent: "agent_x", user: USER };
    await native(server).signal(conversation, "agent", "composing", { participant: SCRIPT, name: TURNED });
    await view.handset.dots.waitFor();
    assert.equal(await view.handset.dots.locator("bdi").textContent(), TURNED);
    await assertOnlyText(view, []);
  });

  test("what is typed into the page's own boxes is text", async (t) => {
    const { server, open } = await scene(t);
    const view = await open();
    await pinnacle(server).writes("Hello");
    await view.desk.messages.waitFor();
    for (const [side, text] of [["handset", IMAGE], ["desk", SCRIPT]]) {
      await view[side].input.fill(text);
      await view[side].send.click();
      await view.handset.messages.getByText(text, { exact: true }).waitFor();
    }
    await assertOnlyText(view, []);
  });
});
