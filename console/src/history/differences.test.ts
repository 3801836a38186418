import assert from "node:assert/strict";
import { test } from "node:test";
import { differences } from "./differences";

test("differences are found by pointer, in objects and arrays", () => {
  assert.deepEqual(
    differences({ a: 1, b: { "x/y": [1, 2] }, gone: null }, { b: { "x/y": [1, 3, 4] }, a: 1 }),
    [
      { sign: "~", pointer: "/b/x~1y/1", before: 2, after: 3 },
      { sign: "+", pointer: "/b/x~1y/2", after: 4 },
      { sign: "-", pointer: "/gone", before: null },
    ],
  );
  assert.deepEqual(differences({ a: [1, 2, 3] }, { a: [1] }), [
    { sign: "-", pointer: "/a/1", before: 2 },
    { sign: "-", pointer: "/a/2", before: 3 },
  ]);
});

test("a value of another type replaces the whole, and names of Object's own members are names", () => {
  assert.deepEqual(differences({ a: [1] }, { a: { 0: 1 } }), [
    { sign: "~", pointer: "/a", before: [1], after: { 0: 1 } },
  ]);
  assert.deepEqual(differences({}, JSON.parse('{"__proto__": 1, "toString": 2}')), [
    { sign: "+", pointer: "/__proto__", after: 1 },
    { sign: "+", pointer: "/toString", after: 2 },
  ]);
});

test("contents that are the same have none", () => {
  assert.deepEqual(differences({ a: 1, b: [{}] }, { b: [{}], a: 1 }), []);
});
