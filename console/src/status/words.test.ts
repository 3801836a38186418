import assert from "node:assert/strict";
import { test } from "node:test";
import { lagText, selectorText } from "./words";

test("a lag is read in milliseconds below a second", () => {
  assert.equal(lagText("0.0123s"), "12 ms");
  assert.equal(lagText("0s"), "0 ms");
  assert.equal(lagText("75.26s"), "75.3 s");
  assert.equal(lagText(undefined), "unknown");
});

test("a selector says which configurations it selects", () => {
  assert.equal(selectorText({}), "*/*");
  assert.equal(selectorText({ application: { name: "shop" }, name_prefix: "web/" }), "shop/web/*");
  assert.equal(selectorText({ application: { name: "shop" }, names: ["a", "b"] }), "shop/a, shop/b");
  assert.match(selectorText({ names: ["1", "2", "3", "4", "5", "6", "7"] }), /and 2 more$/);
});
