import assert from "node:assert/strict";
import { test } from "node:test";
import { compare } from "./compare";

const row = (id: string, name: string, version: string) => ({ id, name, version });
const told = (before: ReturnType<typeof row>[], after: ReturnType<typeof row>[]) =>
  compare(before, after).map((one) =>
    one.kind === "changed"
      ? `${one.kind} ${one.before.name} ${one.before.version} → ${one.after.name} ${one.after.version}`
      : `${one.kind} ${one.name}`,
  );

test("what was added, removed and changed is told by name, and what is the same is not", () => {
  assert.deepEqual(
    told(
      [row("1", "same", "4"), row("2", "web", "1"), row("3", "gone", "2")],
      [row("4", "api", "1"), row("1", "same", "4"), row("2", "web", "3")],
    ),
    ["added api", "removed gone", "changed web 1 → web 3"],
  );
});

test("a configuration is followed through its names, also when two swap theirs", () => {
  assert.deepEqual(told([row("1", "a", "1"), row("2", "b", "1")], [row("1", "b", "2"), row("2", "a", "2")]), [
    "changed b 1 → a 2",
    "changed a 1 → b 2",
  ]);
});

test("another one with the name of a deleted one is a change", () => {
  assert.deepEqual(told([row("1", "web", "7")], [row("2", "web", "1")]), ["changed web 7 → web 1"]);
});

test("an application that was not there yet had nothing", () => {
  assert.deepEqual(told([], [row("1", "web", "1")]), ["added web"]);
});
