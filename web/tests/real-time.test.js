// Once at the times that businesses get: the vendors' 20 s and 7 s. The measured times are printed.
import { describe, test } from "node:test";
import { kaleyra, pinnacle, salesforce } from "./support/doors.js";
import { assertAppearedSoon, assertEndedOnTime } from "./support/time.js";
import { scene } from "./support/scene.js";

const DOORS = [
  { door: kaleyra, name: "Kaleyra's", where: "handset", seconds: 20 },
  { door: pinnacle, name: "Pinnacle's", where: "handset", seconds: 20 },
  { door: salesforce, name: "Salesforce's", where: "desk", seconds: 7 },
];

describe("with the settings that typingd comes with", { concurrency: true }, () => {
  for (const { door, name, where, seconds } of DOORS) {
    test(`one call to ${name} door shows dots on the ${where} for ${seconds} s`, async (t) => {
      const { server, open } = await scene(t);
      const view = await open();
      const call = await door(server).types();
      const [span] = await view.episodes(`${where}-dots`, 1, { within: 60_000 });
      await assertAppearedSoon(t, view, span, call);
      await assertEndedOnTime(t, view, span, { ...call, endsBetween: [call.asked, call.answered].map((at) => at + seconds * 1000) });
    });
  }
});
