import assert from "node:assert/strict";
import { test } from "node:test";
import { withChange } from "./formChanges";

test("what a form adds on its own stays out of the content", () => {
  const content = { a: 1, list: [{ x: 1 }] };
  const before = { a: 1, empty: {}, list: [{ x: 1, more: [] }] };
  assert.deepEqual(withChange(content, before, { ...before, a: 2 }), { a: 2, list: [{ x: 1 }] });
  const after = { a: 1, empty: {}, list: [{ x: 5, more: [] }] };
  assert.deepEqual(withChange(content, before, after), { a: 1, list: [{ x: 5 }] });
});

test("members and items come and go as they do in the form", () => {
  const content = { a: 1, list: [1] };
  const before = { a: 1, list: [1], empty: {} };
  assert.deepEqual(withChange(content, before, { list: [1, 2], empty: { b: 1 } }), {
    list: [1, 2],
    empty: { b: 1 },
  });
});

test("an empty member that comes with a change stays out, and comes in if it is the change", () => {
  assert.deepEqual(withChange({ a: 1 }, { a: 1 }, { a: 2, more: { deep: {} } }), { a: 2 });
  assert.deepEqual(withChange({ a: 1 }, { a: 1 }, { a: 1, more: {} }), { a: 1, more: {} });
});
