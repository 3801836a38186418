import assert from "node:assert/strict";
import { test } from "node:test";
import { merged } from "./merge";

test("what only one side changed is taken", () => {
  const base = { a: 1, b: { c: 1, d: 1 }, gone: 1, list: [1] };
  const theirs = { a: 2, b: { c: 1, d: 1 }, gone: 1, list: [1] };
  const mine = { a: 1, b: { c: 1, d: 5, e: 6 }, list: [1, 2] };
  assert.deepEqual(merged(base, theirs, mine, {}), {
    content: { a: 2, b: { c: 1, d: 5, e: 6 }, list: [1, 2] },
    conflicts: [],
  });
});

test("what both changed alike is no conflict", () => {
  assert.deepEqual(merged({ a: 1 }, { a: 2, n: [1] }, { a: 2, n: [1] }, {}), {
    content: { a: 2, n: [1] },
    conflicts: [],
  });
});

test("what both changed differently is theirs until somebody chooses", () => {
  const [base, theirs, mine] = [{ a: { b: 1 }, gone: 1 }, { a: { b: 2 } }, { a: { b: 3 }, gone: 4 }];
  const { content, conflicts } = merged(base, theirs, mine, {});
  assert.deepEqual(content, { a: { b: 2 } });
  assert.deepEqual(conflicts, [
    { pointer: "/a/b", base: 1, theirs: 2, mine: 3 },
    { pointer: "/gone", base: 1, theirs: undefined, mine: 4 },
  ]);
  assert.deepEqual(merged(base, theirs, mine, { "/a/b": "mine", "/gone": "mine" }).content, {
    a: { b: 3 },
    gone: 4,
  });
});

test("both can add an object at the same place", () => {
  assert.deepEqual(merged({}, { a: { x: 1 } }, { a: { y: 2 } }, {}).content, { a: { x: 1, y: 2 } });
});

test("members whose names are those of every object are members", () => {
  const mine = JSON.parse('{"__proto__": {"a": 1}, "constructor": 1}');
  const { content } = merged({}, {}, mine, {});
  assert.equal(JSON.stringify(content), '{"__proto__":{"a":1},"constructor":1}');
});
