// Takes the pictures that the documentation shows: npm run screenshots. Not a test.
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { chromium } from "playwright-core";
import { ARGS, PROGRAM } from "./support/chromium.js";
import { kaleyra, native, pinnacle, salesforce } from "./support/doors.js";
import { dev } from "./support/server.js";
import { viewOf } from "./support/view.js";

const IMAGES = resolve(import.meta.dirname, "../../docs/images");
const AGENT = "agent_bluebird";
const APPOINTMENT = { channel: "pinnacle", agent: AGENT, user: "+14155550123" };
const ORDER = { channel: "salesforce", agent: "desk", user: "David Wood" };
const LONG = { ttl_ms: 60_000 };

/** Says something in one of the page's boxes, and waits until it stands there. */
const say = async (view, side, text) => {
  await view[side].input.fill(text);
  await view[side].input.press("Enter");
  await view.handset.messages.getByText(text).waitFor();
};

const play = async (server, view) => {
  await kaleyra(server, { agent: "kio_travel", user: "+447700900123" }).writes("Your seat is 14A. Have a good flight!");

  await salesforce(server).writes("Hi, my order 4417 has not arrived yet.");
  await view.choose(ORDER);
  await view.connected();
  await say(view, "desk", "Good morning David! It left our warehouse on Tuesday.");
  await say(view, "desk", "May I ask the carrier where it is?");

  await pinnacle(server, { agent: AGENT }).writes("Your appointment is on Friday at 9:30.");
  await view.choose(APPOINTMENT);
  await view.connected();
  await say(view, "handset", "Could we move it to Monday?");
  await say(view, "desk", "Let me see what is free.");
};

/** In the appointment another rep answers already; the other user is typing. */
const answering = async (server, view) => {
  await salesforce(server).types();
  await view.choose(APPOINTMENT);
  await view.connected();
  await native(server).signal(APPOINTMENT, "agent", "composing", { participant: "rep-grace", name: "Grace", ...LONG });
  for (const part of [view.handset.dots, view.desk.peer, view.desk.typing]) await part.waitFor();
};

/** In the order the user is typing. */
const asking = async (server, view) => {
  await view.choose(ORDER);
  await view.connected();
  await native(server).signal(ORDER, "user", "composing", LONG);
  for (const part of [view.desk.dots, view.desk.typing.first()]) await part.waitFor();
};

const browser = await chromium.launch({ executablePath: PROGRAM, args: ARGS });
const server = await dev();
try {
  await mkdir(IMAGES, { recursive: true });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1.5 });
  const view = viewOf(page);
  await page.goto(`${server.url}/?rep=Ada`);
  await view.connected();
  await play(server, view);
  for (const [name, colorScheme, moment] of [
    ["console-light.png", "light", answering],
    ["console-dark.png", "dark", asking],
  ]) {
    await page.emulateMedia({ colorScheme });
    await moment(server, view);
    await view.why.answer.filter({ hasText: "On:" }).waitFor();
    // Nothing is pointed at, and what comes in by an animation has come in.
    await page.mouse.move(0, 0);
    const once = () => document.getAnimations().filter(({ effect }) => effect.getTiming().iterations === 1);
    await page.evaluate(`Promise.all((${once})().map(({ finished }) => finished)).then(() => {})`);
    await page.screenshot({ path: resolve(IMAGES, name) });
  }
} finally {
  await server.close();
  await browser.close();
}
