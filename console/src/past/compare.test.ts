import assert from "node:assert/strict";
import { test } from "node:test";
import { differences } from "./compare";

const one = (id: string, name: string, version: string, config: object) => ({
  id,
  name,
  version,
  config: { ...config },
});

test("what was added, removed, changed and renamed is listed by name", () => {
  const before = [
    one("1", "same", "1", {}),
    one("2", "changed", "1", { n: 1 }),
    one("3", "gone", "1", {}),
    one("4", "old", "1", {}),
  ];
  const after = [
    one("1", "same", "1", {}),
    one("2", "changed", "2", { n: 2 }),
    one("4", "new", "2", {}),
    one("5", "added", "1", {}),
  ];
  assert.deepEqual(
    differences(before, after).map(({ kind, name }) => [kind, name]),
    [
      ["added", "added"],
      ["changed", "changed"],
      ["removed", "gone"],
      ["changed", "new"],
    ],
  );
});

test("a version with the same content is no difference", () => {
  assert.deepEqual(differences([one("1", "a", "1", { n: 1 })], [one("1", "a", "3", { n: 1 })]), []);
});
