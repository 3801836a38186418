import assert from "node:assert/strict";
import { test } from "node:test";
import { userOf } from "./words";

test("what uses a schema is a link to it", () => {
  assert.deepEqual(userOf("configuration shop:team/web"), {
    text: "shop/team/web",
    href: "#/configurations/shop/team%2Fweb",
  });
  assert.deepEqual(userOf("schema web@12"), {
    text: "schema web, version 12",
    href: "#/schemas/web?version=12",
  });
  assert.deepEqual(userOf("something new"), { text: "something new", href: undefined });
});
