// The page's commands work as they stand: copied, pasted into a shell, run.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { scene } from "./support/scene.js";

const bash = async (command) => (await promisify(execFile)("bash", ["-c", command])).stdout;

const begun = async (t, permissions) => {
  const { open, profile } = await scene(t);
  const context = await profile({ permissions });
  const view = await open({ context });
  const cards = view.page.getByRole("article").filter({ has: view.page.getByTestId("try-copy") });
  return { view, cards, card: (title) => cards.filter({ has: view.page.getByRole("heading", { name: title }) }) };
};

// One after the other: the clipboard is the browser's, and there is only one.
describe("the commands to try", () => {
  for (const { title, where } of [
    { title: "Kaleyra: an agent types", where: "handset" },
    { title: "Pinnacle: an agent types", where: "handset" },
    { title: "Salesforce: an end user types", where: "desk" },
  ]) {
    test(`"${title}", copied and run, makes the dots appear on the ${where}, and run again keeps them on`, async (t) => {
      const { view, card } = await begun(t, ["clipboard-read", "clipboard-write"]);
      const button = card(title).getByTestId("try-copy");
      await button.click();
      await button.filter({ hasText: "Copied" }).waitFor();
      await view.page.getByRole("status").filter({ hasText: `Copied: ${title}` }).waitFor();
      const command = await view.page.evaluate(() => navigator.clipboard.readText());
      assert.equal(command, await card(title).getByTestId("try-command").textContent(), "what is copied is what is shown");

      await bash(command);
      await view[where].dots.waitFor();
      await bash(command);
      await view.why.entries.and(view.page.locator('[data-decision="extended"]')).waitFor();
      assert.equal((await view.spans(`${where}-dots`)).length, 1);
      await button.filter({ hasText: "Copy" }).waitFor();
    });
  }

  test("every command on the page is one of those that were tried", async (t) => {
    const { cards } = await begun(t, []);
    const titles = await cards.getByRole("heading").allTextContents();
    assert.deepEqual(titles, ["Kaleyra: an agent types", "Pinnacle: an agent types", "Salesforce: an end user types"]);
  });

  test("where the clipboard is refused, the command is selected instead", async (t) => {
    const { view, card } = await begun(t, []);
    await view.page.evaluate(() => {
      navigator.clipboard.writeText = () => Promise.reject(new DOMException("not allowed", "NotAllowedError"));
    });
    const pinnacle = card("Pinnacle: an agent types");
    await pinnacle.getByTestId("try-copy").click();
    await pinnacle.getByTestId("try-copy").filter({ hasText: "Selected" }).waitFor();
    const selected = await view.page.evaluate(() => getSelection().toString());
    assert.equal(selected, await pinnacle.getByTestId("try-command").textContent());
  });
});
