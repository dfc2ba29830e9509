// On the narrowest phone nothing is cut off at the side, on the widest screen nothing is lost.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { native, PINNACLE, pinnacle, salesforce } from "./support/doors.js";
import { scene } from "./support/scene.js";

const WIDTHS = [320, 360, 390, 768, 1024, 1280, 1920, 2560];

/** The elements that stick out of the window, other than in something that scrolls or cuts them off on purpose. */
const stickingOut = (page) =>
  page.evaluate(() => {
    const clipped = (node) => {
      for (let parent = node.parentElement; parent && parent !== document.body; parent = parent.parentElement) {
        if (getComputedStyle(parent).overflowX !== "visible") return true;
      }
      return false;
    };
    return [...document.body.querySelectorAll("*")]
      .filter((node) => node.checkVisibility() && !clipped(node) && getComputedStyle(node).clipPath === "none")
      .filter((node) => {
        const { left, right, width } = node.getBoundingClientRect();
        return width > 1 && (right > innerWidth + 0.5 || left < -0.5);
      })
      .map((node) => `${node.tagName.toLowerCase()}#${node.id}.${node.getAttribute("class")}`);
  });

describe("nothing is cut off", { concurrency: 2 }, () => {
  for (const width of WIDTHS) {
    test(`at ${width} px, with long names and long words`, async (t) => {
      const { server, open } = await scene(t);
      const view = await open({ viewport: { width, height: 900 }, rep: "Wolfeschlegelsteinhausenbergerdorff" });
      const { page } = view;
      const fits = async (when) => {
        const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(inner <= outer, `${when}: to be scrolled sideways by ${inner - outer} px`);
        assert.deepEqual(await stickingOut(page), [], when);
      };
      await fits("empty");
      await salesforce(server, { user: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamter" }).writes("a".repeat(300));
      await pinnacle(server).writes("Hello");
      await view.choose(PINNACLE);
      await native(server).signal(PINNACLE, "user", "composing", { ttl_ms: 60_000 });
      await native(server).signal(PINNACLE, "agent", "composing", { participant: "7", name: "W".repeat(200), ttl_ms: 60_000 });
      for (const part of [view.desk.dots, view.handset.dots, view.desk.peer]) await part.waitFor();
      await fits("busy");
      for (const part of [view.desk.input, view.handset.input, view.page.getByTestId("try-copy").first()]) {
        await part.scrollIntoViewIfNeeded();
        assert.ok((await part.boundingBox()).width > 20);
      }
      await page.getByRole("button", { name: "New user" }).click();
      await fits("with the dialog open");
      const { x, width: wide } = await page.getByRole("dialog").boundingBox();
      assert.ok(x >= 0 && x + wide <= width, "the dialog fits");
    });
  }
});
