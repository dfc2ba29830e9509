// The console as the tests see it: by the names that its page gives to its parts.
import { until } from "./wait.js";

export const viewOf = (page) => {
  const by = (id) => page.getByTestId(id);
  const view = {
    page,
    /** What the page said on its sockets, with the time. */
    frames: [],
    connection: by("connection"),
    handset: { dots: by("handset-dots"), messages: by("handset-message"), input: by("handset-input"), send: by("handset-send"), user: by("handset-user") },
    desk: {
      dots: by("desk-dots"),
      messages: by("desk-message"),
      input: by("desk-input"),
      send: by("desk-send"),
      rows: by("desk-conversation"),
      typing: by("desk-typing"),
      peer: by("desk-peer"),
      rep: by("rep-name"),
    },
    why: { answer: by("why-answer"), entries: by("why-entry") },

    row: ({ channel, agent, user }) =>
      by("desk-conversation").and(page.locator(`[data-channel="${channel}"][data-agent=${JSON.stringify(agent)}][data-user=${JSON.stringify(user)}]`)),

    /** Every line is up: its title tells of those that are not, however short. */
    connected: () => page.locator('[data-testid="connection"][data-state="open"]:not([title*="connecting"], [title*="waiting"])').waitFor(),
    isConnection: (state) => page.locator(`[data-testid="connection"][data-state="${state}"]`).waitFor(),

    /** Opens a conversation by hand, as from the desk's list. */
    choose: (conversation) => view.row(conversation).getByRole("button").click(),

    /** Opens a conversation with somebody who has not said anything, by the dialog. */
    async meet({ channel, agent, user }) {
      await page.getByRole("button", { name: "New user" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Channel").selectOption(channel);
      await dialog.getByLabel("Agent").fill(agent);
      await dialog.getByLabel("User", { exact: true }).fill(user);
      await dialog.getByRole("button", { name: "Open the conversation" }).click();
      await dialog.waitFor({ state: "hidden" });
      await view.connected();
    },

    /** When something was shown, as `[{ on, off? }]`, by the clock of this machine. */
    async spans(id) {
      const spans = [];
      for (const { is, at } of (await noted()).shown.filter((one) => one.id === id)) {
        if (is) spans.push({ on: at });
        else spans.at(-1).off = at;
      }
      return spans;
    },

    /** Waits until something was shown, if only for a moment that nobody looked. */
    shown: (id) => until(`${id} is shown`, async () => (await view.spans(id)).length > 0),

    /** Waits until something was shown and hidden so many times, and tells when. */
    async episodes(id, times = 1, { within = 30_000 } = {}) {
      const over = async () => {
        const spans = await view.spans(id);
        return spans.filter(({ off }) => off).length >= times && spans;
      };
      return until(`${id} was shown ${times} time(s) and is gone`, over, { within });
    },

    /** What was read out by the live region with this id. */
    said: async (region) => (await noted()).said.filter((one) => one.in === region).map(({ text }) => text),

    /** By how many milliseconds the page's own timers were late, at worst. */
    lateness: async () => (await noted()).lateness,
  };
  const noted = () => page.evaluate(() => window.noted);
  return view;
};
