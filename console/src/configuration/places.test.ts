import assert from "node:assert/strict";
import { test } from "node:test";
import { placeOf } from "./places";

const TEXT = '{\n  "tls": {"port": 80, "a/b": [1, {"x": "é"}]},\n  "n": null\n}';
const at = (pointer: string) => {
  const { from, to } = placeOf(TEXT, pointer);
  return TEXT.slice(from, to);
};

test("a pointer leads to its member, with the name", () => {
  assert.equal(at("/tls/port"), '"port": 80');
  assert.equal(at("/tls/a~1b/1/x"), '"x": "é"');
  assert.equal(at("/tls/a~1b/0"), "1");
  assert.equal(at("/n"), '"n": null');
});

test("a pointer to nothing leads to what is around it", () => {
  assert.equal(at("/tls/missing"), '"tls": {"port": 80, "a/b": [1, {"x": "é"}]}');
  assert.equal(at("/missing"), "{");
  assert.equal(at(""), "{");
  assert.deepEqual(placeOf("", "/a"), { from: 0, to: 0 });
});
