import assert from "node:assert/strict";
import { test } from "node:test";
import { arranged, isSame, pathOf, pointer } from "./content";
import { parsed } from "./parsed";

test("a text that is not a JSON object is refused with its place", () => {
  assert.deepEqual(parsed('{"a": 1}'), { content: { a: 1 } });
  const broken = parsed('{\n  "a": 1,\n}');
  assert.ok("fault" in broken && broken.at > 9);
  const list = parsed("[1]");
  assert.ok("fault" in list && list.at === 0);
});

test("contents are the same whatever the order of their members", () => {
  assert.ok(isSame({ a: 1, b: [{ c: null }] }, { b: [{ c: null }], a: 1 }));
  assert.ok(!isSame({ a: 1 }, { a: 1, b: null }));
  assert.ok(!isSame({ a: null }, { b: null }));
  assert.ok(!isSame([1, 2], [2, 1]));
  assert.ok(!isSame({}, []));
});

test("a pointer leads to the path that it was made of", () => {
  const path = ["a/b", "~", "0", ""];
  assert.equal(pointer(path), "/a~1b/~0/0/");
  assert.deepEqual(pathOf(pointer(path)), path);
  assert.deepEqual(pathOf(""), []);
});

test("members are arranged as those of another content", () => {
  const value = arranged(
    { c: 1, b: { y: 1, x: [{ q: 1, p: 2 }] }, a: 1 },
    { a: 0, b: { x: [{ p: 0, q: 0 }] } },
  );
  assert.equal(JSON.stringify(value), '{"a":1,"b":{"x":[{"p":2,"q":1}],"y":1},"c":1}');
});
