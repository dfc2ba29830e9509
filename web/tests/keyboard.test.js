// Everything can be done without a mouse, and it is always seen where one is.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PINNACLE, pinnacle, salesforce, SALESFORCE } from "./support/doors.js";
import { scene } from "./support/scene.js";

const MOST_STOPS = 60;
const STOPS = [
  ...["theme-toggle", "handset-user", "new-user", "handset-thread", "handset-input", "handset-send"],
  ...["rep-name", "follow", "desk-conversation", "desk-thread", "desk-input", "desk-send", "timeline", "try-copy"],
];

/** What has the focus, by a name that a person would know it by, and whether it can be seen that it has. */
const focused = (page) =>
  page.evaluate(() => {
    const { activeElement: node } = document;
    if (node === document.body) return;
    // Where an element is drawn over by another, that one shows the focus: a switch's track, or a box around a text.
    const drawn = [node, node.nextElementSibling, node.parentElement].filter(Boolean).map((one) => getComputedStyle(one));
    const outlined = ({ outlineStyle, outlineWidth }) => outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
    const seen = drawn.some((style) => outlined(style) || style.boxShadow !== "none");
    const { width, height } = node.getBoundingClientRect();
    const name = node.dataset.testid ?? node.closest("li")?.dataset.testid ?? (node.id || node.getAttribute("aria-label") || node.textContent.trim());
    return { name, seen, size: width * height };
  });

/** Presses Tab until the page has been gone through. */
const tour = async (page, key = "Tab") => {
  const stops = [];
  for (let i = 0; i < MOST_STOPS; i++) {
    await page.keyboard.press(key);
    const stop = await focused(page);
    if (!stop || (stops.length && stop.name === stops[0].name)) return stops;
    stops.push(stop);
  }
  return assert.fail(`no end after ${MOST_STOPS} stops: ${JSON.stringify(stops)}`);
};

/** A page with two conversations, the agent's open, and everything that belongs to it in its place. */
const two = async (t) => {
  const { server, open } = await scene(t);
  const view = await open({ rep: "Ada" });
  await salesforce(server).writes("From David");
  await pinnacle(server).writes("From the agent");
  await whole(view);
  return view;
};

const whole = async (view) => {
  await view.row(SALESFORCE).waitFor();
  await view.row(PINNACLE).locator("[aria-current]").waitFor();
  await view.connected();
  await view.why.entries.first().waitFor();
};

describe("by keyboard alone", { concurrency: 2 }, () => {
  test("Tab reaches everything, each time visibly, and goes back the same way", async (t) => {
    const view = await two(t);
    const { page } = view;
    const there = await tour(page);
    const names = there.map(({ name }) => name);
    t.diagnostic(names.join(", "));
    for (const wanted of STOPS) assert.ok(names.includes(wanted), `${wanted} is not reached`);
    assert.deepEqual(there.filter(({ seen }) => !seen).map(({ name }) => name), [], "focus that is not seen");
    assert.deepEqual(there.filter(({ size }) => size < 4).map(({ name }) => name), [], "focus on nothing");
    assert.equal(names.filter((name) => name === "try-copy").length, await page.getByTestId("try-command").count(), "a button for each command");
    assert.ok(names.indexOf("handset-input") < names.indexOf("desk-input"), "in the order of the page");
    await page.reload();
    await whole(view);
    const back = (await tour(page, "Shift+Tab")).map(({ name }) => name);
    assert.deepEqual(back.toReversed(), names);
  });

  test("the arrow keys go through the conversations, and Enter opens one", async (t) => {
    const view = await two(t);
    const { page } = view;
    await view.row(PINNACLE).getByRole("button").focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await view.row(SALESFORCE).locator("[aria-current]").waitFor();
    await view.desk.messages.getByText("From David").waitFor();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await view.row(PINNACLE).locator("[aria-current]").waitFor();
    await page.keyboard.press("End");
    assert.equal(await page.evaluate(() => document.activeElement.closest("li").dataset.user), SALESFORCE.user);
    await page.keyboard.press("Home");
    assert.equal(await page.evaluate(() => document.activeElement.closest("li").dataset.user), PINNACLE.user);
  });

  test("Enter sends, Shift and Enter begin a line", async (t) => {
    const view = await two(t);
    for (const side of ["handset", "desk"]) {
      await view[side].input.focus();
      await view.page.keyboard.type("one");
      await view.page.keyboard.press("Shift+Enter");
      await view.page.keyboard.type(`two on the ${side}`);
      assert.equal(await view[side].input.inputValue(), `one\ntwo on the ${side}`);
      await view.page.keyboard.press("Enter");
      await view.handset.messages.getByText(`two on the ${side}`).waitFor();
      await view.desk.messages.getByText(`two on the ${side}`).waitFor();
    }
  });

  test("a new user is met by keys alone, Escape leaves the dialog, and the focus goes back", async (t) => {
    const { open } = await scene(t);
    const view = await open();
    const { page } = view;
    const button = page.getByRole("button", { name: "New user" });
    const dialog = page.getByRole("dialog");
    await button.focus();
    await page.keyboard.press("Enter");
    await dialog.waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.ok(await button.evaluate((node) => node === document.activeElement), "back where it was opened");
    await page.keyboard.press("Enter");
    await page.keyboard.type("+14155550177");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "hidden" });
    await view.connected();
    assert.ok(await view.handset.input.evaluate((node) => node === document.activeElement), "ready to write");
    await page.keyboard.type("Hello");
    await view.desk.dots.waitFor();
  });

  test("the dialog keeps the focus while it is open", async (t) => {
    const { open } = await scene(t);
    const { page } = await open();
    await page.getByRole("button", { name: "New user" }).press("Enter");
    await page.getByRole("dialog").waitFor();
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press("Tab");
      // Between its last stop and its first the browser's own bar has a turn.
      assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog")));
    }
  });

  test("the first stop leads past the bar to the conversations", async (t) => {
    const { page } = await two(t);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    const stop = await focused(page);
    assert.equal(stop.name, "follow");
  });
});
