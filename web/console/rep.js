// Who this window's rep is. Each window is another rep, also one that was opened as a copy of this.

const NAMES = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Margaret", "Tony"];
const MOST = 60;

const store = (key, value) => {
  try {
    if (value === undefined) return sessionStorage.getItem(key);
    sessionStorage.setItem(key, value);
  } catch {
    // Without storage a reload makes another rep of this window.
  }
};

const fresh = () => `rep-${[...crypto.getRandomValues(new Uint8Array(6))].map((b) => b.toString(36).padStart(2, "0")).join("")}`;

// A duplicated tab brings a copy of its session storage along: the lock tells that the id is taken.
const claim = (id) =>
  new Promise((done) => {
    if (!navigator.locks) return done(true);
    navigator.locks.request(`typingd-${id}`, { ifAvailable: true }, (lock) => {
      done(Boolean(lock));
      return lock ? new Promise(() => {}) : undefined;
    });
  });

export const thisRep = async () => {
  let id = store("typingd-rep-id") || fresh();
  const asked = new URLSearchParams(location.search).get("rep")?.trim().slice(0, MOST);
  let name = asked || store("typingd-rep-name");
  if (!(await claim(id))) {
    id = fresh();
    if (!asked) name = undefined;
    await claim(id);
  }
  name ||= NAMES[crypto.getRandomValues(new Uint8Array(1))[0] % NAMES.length];
  store("typingd-rep-id", id);
  store("typingd-rep-name", name);
  return {
    id,
    name,
    rename(wanted) {
      this.name = wanted.trim().slice(0, MOST) || this.name;
      store("typingd-rep-name", this.name);
    },
  };
};
