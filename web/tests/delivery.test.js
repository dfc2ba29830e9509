// What providers were told, and what they answered, is part of why the dots are on.
import { describe, test } from "node:test";
import { pinnacle } from "./support/doors.js";
import { scene } from "./support/scene.js";
import { until } from "./support/wait.js";

const TOML = (provider, key) => `[console]
enabled = true
[[tenants]]
name = "acme"
api_keys = ["acme-secret-key"]
[[tenants.pinnacle]]
api_keys = ["acme-pinnacle-key"]
agents = ["*"]
[[tenants.upstreams.pinnacle]]
name = "pinnacle-main"
base_url = "${provider.url}"
api_key = "${key}"
[[tenants.routes]]
upstream = "pinnacle-main"
`;

describe("what a provider was told", { concurrency: true }, () => {
  for (const { what, key, entry, answer } of [
    { what: "that took it", key: "dev-pinnacle-key", entry: /Told Pinnacle \(pinnacle-main\): typing.*accepted in/s, answer: /On: agent_x has been typing/ },
    { what: "that refused", key: "wrong", entry: /Pinnacle \(pinnacle-main\) refused: credential \(401\)/, answer: /may not show it: Pinnacle refused the credential/ },
  ]) {
    test(`is on the page with its verdict: of one ${what}`, async (t) => {
      const provider = (await scene(t)).server;
      const { server, open, forgive } = await scene(t, { toml: TOML(provider, key) });
      forgive(/status of 401 .*\/console\/session/);
      const view = await open({ connected: false });
      await view.page.getByLabel("API key").fill("acme-secret-key");
      await view.page.getByRole("button", { name: "Log in" }).click();
      await view.connected();
      await pinnacle(server, { key: "acme-pinnacle-key" }).types();
      await view.why.answer.filter({ hasText: answer }).waitFor();
      const told = () => view.why.entries.allTextContents();
      await until("the call is on the page", async () => (await told()).some((text) => entry.test(text)));
    });
  }
});
