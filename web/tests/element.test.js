// <typing-dots> on a page of another origin, as somebody would put it into their own product.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { native, PINNACLE, pinnacle, USER } from "./support/doors.js";
import { AWAY, scene } from "./support/scene.js";
import { until } from "./support/wait.js";

const PACKAGE = join(import.meta.dirname, "../typing-dots");
const KEY = "dev-api-key";

/** A ticket, as a business's server asks for it. */
const ticket = async ({ url }, wanted) => {
  const answer = await fetch(`${url}/typing/v1/tickets`, {
    method: "POST",
    headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify({ ...PINNACLE, access: "read_write", ...wanted }),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).ticket;
};

/** Their shop: a page of theirs, with the package's files beside it, and tickets from their own server. */
const shop = async (t, server, side) => {
  const site = createServer(async ({ url }, answer) => {
    if (url === "/ticket") {
      const fresh = await ticket(server, side).catch(() => {});
      return answer.writeHead(fresh ? 200 : 503).end(fresh);
    }
    if (url === "/favicon.ico") return answer.writeHead(204).end();
    if (url.endsWith(".js")) return answer.writeHead(200, { "Content-Type": "text/javascript" }).end(await readFile(join(PACKAGE, url)));
    answer.writeHead(200, { "Content-Type": "text/html" }).end(`<!doctype html><html lang="en"><title>Shop</title>
      <script type="module" src="/element.js"></script>
      <input aria-label="Message">
      <typing-dots src="${server.url}/typing/v1/socket" ticket="${await ticket(server, side)}" label></typing-dots>`);
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  return `http://127.0.0.1:${site.address().port}`;
};

/** Opens the shop as a user's page does, and makes its element know how to get further tickets. */
const visit = async (t, options = { side: "user" }) => {
  const { server, profile, open, allow, forgive } = await scene(t);
  const site = await shop(t, server, options);
  allow(site);
  const page = await (await profile()).newPage();
  const connected = page.waitForEvent("websocket");
  await page.goto(site);
  await connected;
  await page.locator("typing-dots").evaluate((element) => {
    element.renew = async () => {
      const answer = await fetch("/ticket");
      if (!answer.ok) throw new Error("no ticket");
      return answer.text();
    };
  });
  const dots = page.locator('typing-dots [part="bubble"]');
  return { server, open, forgive, page, dots, element: page.locator("typing-dots") };
};

describe("the element on a page of another origin", { concurrency: 2 }, () => {
  test("on a page of another origin the element shows dots after a call to Pinnacle's door, and hides them with the message", async (t) => {
    const { server, page, dots, element } = await visit(t);
    assert.equal(await dots.isVisible(), false);
    await pinnacle(server).types();
    await dots.waitFor();
    assert.equal(await dots.innerText(), "Agent is typing");
    assert.ok(await element.evaluate((node) => node.hasAttribute("typing")));
    await pinnacle(server).writes("Hello");
    await dots.waitFor({ state: "hidden" });
    assert.ok(!(await element.evaluate((node) => node.hasAttribute("typing"))));
    assert.equal(await page.evaluate(() => document.querySelector("typing-dots").shadowRoot.querySelectorAll("i").length), 3);
  });

  test("the element hides the dots when their time is over", async (t) => {
    const { server, dots } = await visit(t);
    const call = await native(server).signal(PINNACLE, "agent", "composing", { ttl_ms: 4000 });
    await dots.waitFor();
    await dots.waitFor({ state: "hidden" });
    assert.ok(Date.now() >= call.endsBetween[0], "and not before");
  });

  test("its input() makes the user type, on the desk of the console, until stop()", async (t) => {
    const { server, open, page, element } = await visit(t);
    await pinnacle(server).writes("Hello");
    const view = await open();
    await view.desk.messages.waitFor();
    await element.evaluate((node) => {
      document.querySelector("input").addEventListener("input", () => node.input());
    });
    // The page does not show when its socket is up, and what is typed before is not told.
    await until("the user is seen to type", async () => {
      await page.getByLabel("Message").press("x");
      return view.desk.dots.isVisible();
    });
    await element.evaluate((node) => node.stop());
    await view.desk.dots.waitFor({ state: "detached" });
  });

  test("a ticket is good once: the element asks for another when the line is cut, and goes on", async (t) => {
    const { server, page, dots, forgive } = await visit(t);
    forgive(AWAY, /status of 503/);
    await pinnacle(server).types();
    await dots.waitFor();
    const again = page.waitForEvent("websocket", { predicate: (socket) => !socket.isClosed(), timeout: 60_000 });
    await server.end("SIGKILL");
    await server.again();
    await dots.waitFor({ state: "hidden" });
    await again;
    await pinnacle(server).types();
    await dots.waitFor();
  });

  test("a rep's element names the user, and names come as text", async (t) => {
    const { server, dots, page } = await visit(t, { side: "agent", participant: "rep-7", name: "Ada" });
    await native(server).signal(PINNACLE, "user", "composing", { participant: "u", name: "<img src=x onerror=alert(1)>" });
    await dots.waitFor();
    assert.equal(await dots.innerText(), "<img src=x onerror=alert(1)> is typing");
    assert.equal(await page.locator("img").count(), 0);
    await native(server).signal(PINNACLE, "user", "sent");
    await dots.waitFor({ state: "hidden" });
    await native(server).signal(PINNACLE, "user", "composing");
    await dots.filter({ hasText: `${USER} is typing` }).waitFor();
  });
});
