// Whether the page hears the gateway: one lamp for the feed and both sockets.
import { $, setText } from "./dom.js";

const BRIEF_MS = 400;
const WORST = ["closed", "waiting", "connecting", "open"];
const TEXT = {
  open: "Connected",
  connecting: "Connecting…",
  waiting: "Connection lost, trying again…",
  closed: "Disconnected, reload the page to try again",
};
const LINES = { feed: "Feed", desk: "Desk's socket", handset: "Handset's socket" };

export const createConnection = () => {
  const states = new Map();
  const lost = new Set();
  const details = new Map();
  let shown, timer;

  const draw = (state) => {
    shown = state;
    $("connection").dataset.state = state;
    setText($("connection-text"), TEXT[state]);
  };

  const update = () => {
    clearTimeout(timer);
    // A retry is not news until it comes through.
    const seen = [...states].map(([line, state]) => (state === "connecting" && lost.has(line) ? "waiting" : state));
    const state = WORST.find((worst) => seen.includes(worst)) ?? "connecting";
    const parts = [...states].map(([line, is]) => `${LINES[line]}: ${is}${is !== "open" && details.get(line) ? ` (${details.get(line)})` : ""}`);
    $("connection").title = parts.join("\n");
    if (state === shown) return;
    // Another user on the handset is another socket: that takes an instant and is nobody's concern.
    if (shown === "open" && state !== "waiting") timer = setTimeout(draw, BRIEF_MS, state);
    else draw(state);
  };

  return (line) => (state, detail) => {
    if (state === "waiting") lost.add(line);
    if (state === "open") lost.delete(line);
    if (state === "idle") states.delete(line);
    else states.set(line, state);
    if (detail) details.set(line, detail);
    update();
  };
};
