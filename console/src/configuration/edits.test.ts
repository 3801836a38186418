import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "./content";
import { changedAt, edited, filledAt } from "./edits";

const after = (text: string, next: JsonObject) => edited(text, JSON.parse(text) as JsonObject, next);

test("what is the same stays as it was typed", () => {
  const text = '{"b": [1,2],\n\n "wide": 1.50, "t": {"p": 80}}';
  assert.equal(
    after(text, { b: [1, 3], wide: 1.5, t: { p: 443 } }),
    '{"b": [1,3],\n\n "wide": 1.50, "t": {"p": 443}}',
  );
  assert.equal(after(text, { t: { p: 80 }, wide: 1.5, b: [1, 2] }), text);
});

test("an object with other members is written again, as deep as it stands", () => {
  const text = '{\n  "keep": 1.0,\n  "tls": {}\n}\n';
  assert.equal(
    after(text, { keep: 1, tls: { port: 1 } }),
    '{\n  "keep": 1.0,\n  "tls": {\n    "port": 1\n  }\n}\n',
  );
  assert.deepEqual(JSON.parse(after('{"a": 1, "b": 2}', { b: 2 })), { b: 2 });
});

test("of members with one name the one that counts is changed", () => {
  assert.equal(after('{"a": 1, "a": 2}', { a: 3 }), '{"a": 1, "a": 3}');
});

test("any change of a content is that change of its text", () => {
  const contents: JsonObject[] = [
    {},
    { a: null },
    { a: [{ "a/b": 'é\n"' }, []], "": { "~": -0.5 } },
    { a: [{ "a/b": "x" }, [], 1], "": { "~": 1e-7, n: false } },
    JSON.parse('{"__proto__": {"a": 1}, "1": 0}') as JsonObject,
    JSON.parse('{"__proto__": {"a": 2}, "1": 0}') as JsonObject,
  ];
  for (const from of contents) {
    for (const to of contents) {
      for (const text of [JSON.stringify(from), JSON.stringify(from, null, 4)]) {
        assert.deepEqual(JSON.parse(edited(text, from, to)), JSON.parse(JSON.stringify(to)));
      }
    }
  }
});

test("a change at a path changes that alone", () => {
  const value = { a: { b: [1, { c: "x" }], d: "" } };
  assert.deepEqual(changedAt(value, ["a", "b", 1, "c"], "y"), { a: { b: [1, { c: "y" }], d: "" } });
  assert.deepEqual(changedAt(value, ["a", "d"], undefined), { a: { b: [1, { c: "x" }] } });
  assert.deepEqual(changedAt(value, ["n", "l", 1], 5), { ...value, n: { l: [null, 5] } });
  assert.deepEqual(changedAt(value, ["a", "b", 0], undefined), { a: { b: [null, { c: "x" }], d: "" } });
  assert.deepEqual(changedAt(value, [], { z: 1 }), { z: 1 });
});

test("what is typed and deleted again leaves nothing, and what was empty stays", () => {
  const made = new Set<string>();
  const filled = filledAt({ kept: {} }, ["a", "b", "c"], "x", made);
  assert.deepEqual(filled, { kept: {}, a: { b: { c: "x" } } });
  assert.deepEqual(filledAt(filled, ["a", "b", "c"], undefined, made), { kept: {} });
  const other = filledAt({ kept: {}, a: { b: {} } }, ["kept", "c"], "x", new Set());
  assert.deepEqual(filledAt(other, ["kept", "c"], undefined, new Set()), { kept: {}, a: { b: {} } });
});
