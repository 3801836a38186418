import assert from "node:assert/strict";
import { test } from "node:test";
import { beyond } from "./words";

test("what is not listed is counted", () => {
  assert.equal(beyond(1234, 100), "and 1,134 more");
  assert.equal(beyond(100, 100), "");
});
