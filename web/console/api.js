// The requests to the gateway. Whoever asks without a session is told by `onUnauthorized`.

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let unauthorized = () => {};

export const onUnauthorized = (fn) => {
  unauthorized = fn;
};

const ask = async (path, options = {}) => {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new Refused(0, "The gateway does not answer.");
  }
  if (answer.ok) return answer.status === 204 ? undefined : answer.json();
  const problem = await answer.json().catch(() => ({}));
  const fields = (problem.errors ?? []).map(({ field, detail }) => `${field}: ${detail}`).join("; ");
  if (answer.status === 401 && !options.method?.match(/DELETE/) && path !== "/console/session") unauthorized();
  throw new Refused(answer.status, fields || problem.detail || problem.title || `Status ${answer.status}`);
};

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const session = () => ask("/console/session");

export const logIn = (key) => ask("/console/session", { method: "POST", headers: { Authorization: `Bearer ${key}` } });

export const logOut = () => ask("/console/session", { method: "DELETE" });

export const ticket = async (wanted) => (await post("/console/tickets", { access: "read_write", ...wanted })).ticket;

export const say = (message) => post("/console/messages", message);

export const explain = ({ channel, agent, user }, signal) =>
  ask(`/console/explain?${new URLSearchParams({ channel, agent, user })}`, { signal });
