// What a business's own programs do: they call typingd at the doors of the APIs that they know, here by `curl`.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

export const USER = "+14155550123";
export const KALEYRA = { channel: "kaleyra", agent: "kio_rcs", user: USER };
export const PINNACLE = { channel: "pinnacle", agent: "agent_x", user: USER };
export const SALESFORCE = { channel: "salesforce", agent: "desk", user: "David Wood" };

const run = promisify(execFile);
const TOLD = String.raw`\n%{http_code} %header{typing-decision} %header{typing-expires-in}`;
const JSON_BODY = ["-H", "Content-Type: application/json"];
let ids = 0;

/**
 * Calls, and tells what was decided. `endsBetween` is when the lease ends if nothing else is said, by the clock of this
 * machine: its time to live was counted from some moment between the call and the answer.
 */
export const curl = async (...args) => {
  const asked = Date.now();
  const { stdout } = await run("curl", ["-sS", "--max-time", "30", "-w", TOLD, ...args]);
  const answered = Date.now();
  const [, status, decision, lasts] = stdout.match(/\n(\d+) (.*?) (\d*)$/);
  if (!status.startsWith("2")) throw new Error(`${args[0]} is answered ${stdout}`);
  const ms = Number(lasts);
  return { decision, lasts: ms, asked, answered, endsBetween: [asked + ms, answered + ms] };
};

export const kaleyra = ({ url }, { agent = KALEYRA.agent, user = USER } = {}) => ({
  types: () =>
    curl(`${url}/v1/dev/rcs/events`, "-u", "dev:dev", "-H", "api-key: dev-kaleyra-key", ...JSON_BODY, "-d", JSON.stringify({ from: agent, to: user, composing: {} })),
  writes: (text) =>
    curl(`${url}/v1/dev/rcs/messages`, "-H", "api-key: dev-kaleyra-key", ...JSON_BODY, "-d", JSON.stringify({ from: agent, to: [user], text })),
});

export const pinnacle = ({ url }, { agent = PINNACLE.agent, user = USER, key = "dev-pinnacle-key" } = {}) => ({
  types: () =>
    curl(`${url}/messages/send/typing`, "-H", `PINNACLE-API-KEY: ${key}`, ...JSON_BODY, "-d", JSON.stringify({ agentId: agent, to: user })),
  writes: (text) =>
    curl(`${url}/messages/send/rcs`, "-H", `PINNACLE-API-KEY: ${key}`, ...JSON_BODY, "-d", JSON.stringify({ from: agent, to: user, text })),
});

export const salesforce = ({ url }, { agent = SALESFORCE.agent, user = SALESFORCE.user } = {}) => {
  const timestamp = 1688190840000;
  const interact = (payload) => {
    const interactions = [{ timestamp, interactionType: "EntryInteraction", payload: { id: `e-${process.pid}-${++ids}`, timestamp, ...payload } }];
    const json = JSON.stringify({ to: agent, from: user, interactions });
    // As a string: `-F` reads on after a semicolon.
    return curl(
      `${url}/api/v1/interactions`, "-H", "Authorization: Bearer dev-salesforce-token", "-H", "OrgId: 00Ddev000000000",
      "-H", "AuthorizationContext: Dev_Channel", "-H", "RequestId: 1", "--form-string", `json=${json}`,
    );
  };
  return {
    types: () => interact({ entryType: "TypingStartedIndicator" }),
    stops: () => interact({ entryType: "TypingStoppedIndicator" }),
    writes: (text) => {
      const id = `m-${process.pid}-${++ids}`;
      return interact({
        id,
        entryType: "Message",
        abstractMessage: { id, messageType: "StaticContentMessage", staticContent: { formatType: "Text", text } },
      });
    },
  };
};

/** The native API, whose `state` is `composing`, `paused` or `sent`. */
export const native = ({ url }, { key = "dev-api-key" } = {}) => ({
  signal: (conversation, composer, state, more = {}) =>
    curl(`${url}/typing/v1/signals`, "-H", `Authorization: Bearer ${key}`, ...JSON_BODY, "-d", JSON.stringify({ ...conversation, composer, state, ...more })),
});
