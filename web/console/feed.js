// The console's feed: what is said, and where something happened. Retries are ours rather than the browser's, which
// come at a fixed pace and give up for good when the server refuses once.

const FIRST_MS = 500;
const MOST_MS = 10_000;
const PLANNED = new Set(["draining", "too_slow"]);

/** `handlers` has a function for each event's name, and `state(state, detail)`. */
export const openFeed = (handlers) => {
  let source, retry;
  let tries = 0;
  let over = false;

  const lost = (detail, planned) => {
    source?.close();
    if (over) return;
    if (planned) tries = Math.max(tries, 2);
    clearTimeout(retry);
    retry = setTimeout(open, Math.random() * Math.min(MOST_MS, FIRST_MS * 2 ** tries++) + 100);
    handlers.state("waiting", detail);
  };

  const open = () => {
    clearTimeout(retry);
    source?.close();
    source = new EventSource("/console/feed");
    const mine = source;
    handlers.state("connecting");
    mine.onerror = () => mine === source && lost("the feed broke off");
    const on = (type) =>
      mine.addEventListener(type, ({ data }) => {
        if (mine === source) handlers[type](JSON.parse(data));
      });
    mine.addEventListener("conversations", () => {
      if (mine !== source) return;
      tries = 0;
      handlers.state("open");
    });
    for (const type of ["conversations", "activity", "message"]) on(type);
    mine.addEventListener("closed", ({ data }) => {
      if (mine !== source) return;
      const { reason } = JSON.parse(data);
      lost(reason, PLANNED.has(reason));
      if (reason === "revoked") handlers.revoked();
    });
  };

  const online = () => {
    if (over || source?.readyState === EventSource.OPEN) return;
    tries = 0;
    open();
  };
  addEventListener("online", online);
  open();

  return {
    close() {
      over = true;
      clearTimeout(retry);
      source.close();
      removeEventListener("online", online);
      handlers.state("closed");
    },
  };
};
