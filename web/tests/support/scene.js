// A server, and pages that look at it. Whatever a page complains of fails the test, whatever else the test is about.
import assert from "node:assert/strict";
import { after } from "node:test";
import { chromium } from "playwright-core";
import { ARGS, PROGRAM } from "./chromium.js";
import { recorder } from "./recorder.js";
import { dev, serve } from "./server.js";
import { viewOf } from "./view.js";

const WAITS_MS = 20_000;

let launched;

/** One browser for each file of tests; each context in it is a profile of its own. */
const browser = () => (launched ??= chromium.launch({ executablePath: PROGRAM, args: ARGS }));

after(async () => (await launched)?.close());

/** Dev mode with these flags, or serve mode where there is `toml`. All of it ends with the test. */
export const scene = async (t, { flags, toml } = {}) => {
  const server = await (toml ? serve(toml) : dev(flags));
  const contexts = [];
  const complaints = [];
  // The browser's note that the page changed its mind: another conversation was opened at once.
  const forgiven = [/WebSocket is closed before the connection is established/];
  const origins = new Set([server.url, server.url.replace("http", "ws")]);

  t.after(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    await server.close();
    const grave = complaints.filter((complaint) => !forgiven.some((pattern) => pattern.test(complaint)));
    // Told as well where the test has failed before, and its own failure is what is shown.
    for (const complaint of grave) t.diagnostic(`a page complained: ${complaint}`);
    assert.deepEqual(grave, [], "a page complained");
  });

  const watch = (context) => {
    const visits = (url) => {
      if (!origins.has(new URL(url).origin)) complaints.push(`request to another origin: ${url}`);
    };
    context.on("request", (request) => visits(request.url()));
    context.on("page", (page) => page.on("websocket", (socket) => visits(socket.url())));
    context.on("weberror", (error) => complaints.push(`uncaught: ${error.error().stack}`));
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    });
    context.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
  };

  const self = {
    server,

    /** A profile of its own, with Playwright's options. */
    async profile(options = {}) {
      const context = await (await browser()).newContext({ viewport: { width: 1440, height: 900 }, ...options });
      contexts.push(context);
      context.setDefaultTimeout(WAITS_MS);
      watch(context);
      await context.addInitScript(recorder);
      return context;
    },

    /** A page with the console, connected. A `context` makes it another window of the same profile. */
    async open({ rep, context, connected = true, ...options } = {}) {
      const page = await (context ?? (await self.profile(options))).newPage();
      const view = viewOf(page);
      page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => view.frames.push({ at: Date.now(), ...JSON.parse(payload) })));
      await page.goto(`${server.url}/${rep ? `?rep=${encodeURIComponent(rep)}` : ""}`);
      if (connected) await view.connected();
      return view;
    },

    /** These complaints are the point of the test. */
    forgive: (...patterns) => forgiven.push(...patterns),

    /** Another origin that takes part. */
    allow: (origin) => origins.add(origin),
  };
  return self;
};

/** The browser's own words when a server is away. */
export const AWAY = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|WebSocket connection to/;
