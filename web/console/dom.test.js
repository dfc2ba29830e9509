import assert from "node:assert/strict";
import { test } from "node:test";
import { alone, listed, plain } from "./dom.js";

const RLO = "\u202E";

test("a name cannot turn the text around it, where only text can stand", () => {
  for (const [name, expected] of [
    ["Ada", "Ada"],
    ["+14155550123", "+14155550123"],
    ["", ""],
    ["דוד", "\u2068דוד\u2069"],
    [`${RLO}Ada`, "Ada"],
    [`${RLO}דוד\u202C Wood`, "\u2068דוד Wood\u2069"],
    ["\u2069\u2069Zoë\u2066", "\u2068Zoë\u2069"],
    ["\u202A\u202B\u202C\u202D\u202E\u2066\u2067\u2068\u2069", ""],
  ]) {
    assert.equal(alone(name), expected, JSON.stringify(name));
  }
});

test("each name of a phrase is kept to itself", () => {
  assert.equal(plain([...listed(["Ada", `דוד${RLO}`]), " are typing"]), "Ada and \u2068דוד\u2069 are typing");
});
