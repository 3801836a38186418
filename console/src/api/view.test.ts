import assert from "node:assert/strict";
import { test } from "node:test";
import { TooManyError, View } from "./view";

const set = (id: string, version = "1") => ({
  effect: "EFFECT_SET" as const,
  configuration: { id, version },
});
const gone = (id: string) => ({ effect: "EFFECT_REMOVE" as const, configuration: { id } });
const ids = (update: { rows: ReadonlyMap<string, unknown> } | undefined) => [...(update?.rows.keys() ?? [])];

test("a snapshot and a commit are shown once they are whole", () => {
  const view = new View(10);
  assert.equal(view.take({ events: [set("a")] }), undefined);
  const first = view.take({ events: [set("b")], resume_token: "1", revision: "1" });
  assert.deepEqual([ids(first), first?.events], [["a", "b"], []]);
  assert.equal(view.take({ events: [set("c")] }), undefined);
  const second = view.take({ events: [gone("a")], resume_token: "2", revision: "2" });
  assert.deepEqual([ids(second), second?.events.length, view.token], [["b", "c"], 2, "2"]);
});

test("a part of a commit that a broken stream delivered is forgotten", () => {
  const view = new View(10);
  view.take({ events: [set("a")], resume_token: "1" });
  view.take({ events: [gone("a")] });
  view.dropPending();
  assert.deepEqual(ids(view.take({ events: [set("b")], resume_token: "2" })), ["a", "b"]);
});

test("a watch that starts over replaces everything, and a bookmark shows nothing new", () => {
  const view = new View(10);
  view.take({ events: [set("a")], resume_token: "1" });
  assert.equal(view.take({ resume_token: "2" }), undefined);
  view.startOver();
  assert.deepEqual(ids(view.take({ events: [set("b")], resume_token: "3" })), ["b"]);
});

test("a view that is too large for a browser is refused", () => {
  const view = new View(1);
  assert.throws(() => view.take({ events: [set("a"), set("b")] }), TooManyError);
});
