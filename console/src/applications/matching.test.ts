import assert from "node:assert/strict";
import { test } from "node:test";
import { matching } from "./matching";

const rows = [
  { id: "2", application: "shop", name: "web/limits", updated_by: "user:ada" },
  {
    id: "1",
    application: "payments",
    name: "limits",
    schema: { schema: "limits", version: "0" },
    updated_by: "user:bo",
  },
];

test("a configuration is found by every word of the query, in any case", () => {
  assert.deepEqual(
    matching(rows, "LIMITS shop").map((row) => row.id),
    ["2"],
  );
  assert.deepEqual(matching(rows, "ada payments"), []);
});

test("an empty query finds all, in the order of their names", () => {
  assert.deepEqual(
    matching(rows, " ").map((row) => row.id),
    ["1", "2"],
  );
});
