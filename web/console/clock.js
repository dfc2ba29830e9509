// Time as people read it. Everything counts on the monotonic clock; wall time is only ever shown.

const listeners = new Set();

export const now = () => performance.now();

/** Calls once for each frame that is drawn, with what came last: of all that came before nothing would be seen. */
export const eachFrame = (fn) => {
  let last;
  return (...args) => {
    if (!last) {
      requestAnimationFrame(() => {
        const latest = last;
        last = undefined;
        fn(...latest);
      });
    }
    last = args;
  };
};

/** Calls once a second, while the page is looked at. */
export const onTick = (fn) => {
  listeners.add(fn);
  return () => listeners.delete(fn);
};

export const duration = (ms) => {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  const min = Math.round(s / 60);
  if (min < 90) return `${min} min`;
  const h = Math.round(min / 60);
  return h < 36 ? `${h} h` : `${Math.round(h / 24)} d`;
};

export const ago = (at) => {
  const ms = now() - at;
  return ms < 1500 ? "now" : duration(ms);
};

const FULL = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const SHORT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const wall = (time) => FULL.format(time);

export const wallShort = (time) => SHORT.format(time);

/** The wall time of a moment on the monotonic clock. */
export const wallAt = (at) => Date.now() - (now() - at);

const label = (node) => {
  const text = ago(Number(node.dataset.at)) + (node.dataset.after ?? "");
  if (node.textContent !== text) node.textContent = text;
};

/** Makes a `<time>` tell how long ago it was, from now on. */
export const setAgo = (node, at) => {
  node.dataset.at = String(at);
  node.title = wall(wallAt(at));
  label(node);
};

const tick = () => {
  if (document.hidden) return;
  for (const node of document.querySelectorAll("time[data-at]")) label(node);
  for (const fn of listeners) fn();
};

setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
