import assert from "node:assert/strict";
import { test } from "node:test";
import { indented, memberOf, partsOf, withText } from "./exact";

const TEXT = '{"a": 9223372036854775807, "b\\"{": [1, {"c": "]},:"}, []], "d": {}}';

test("the members of an object keep every digit", () => {
  assert.deepEqual(partsOf(TEXT), [
    { name: "a", text: "9223372036854775807" },
    { name: 'b"{', text: '[1, {"c": "]},:"}, []]' },
    { name: "d", text: "{}" },
  ]);
  assert.equal(memberOf(TEXT, "a"), "9223372036854775807");
  assert.equal(memberOf(TEXT, "c"), undefined);
});

test("the elements of an array have no names", () => {
  assert.deepEqual(partsOf('[1, "x", [2], {"a": 1}]'), [
    { name: "", text: "1" },
    { name: "", text: '"x"' },
    { name: "", text: "[2]" },
    { name: "", text: '{"a": 1}' },
  ]);
  assert.deepEqual(partsOf("[]"), []);
  assert.deepEqual(partsOf(" { } "), []);
});

test("indented text is what JSON.stringify writes, but for its numbers", () => {
  const text = '{"a":[1,{"b":[]},{}],"c":{"d":"x: {, \\u00e9 \\"}"},"e":-1.50e3}';
  const plain = JSON.stringify(JSON.parse(text), null, 2)
    .replace("\u00e9", "\\u00e9")
    .replace("-1500", "-1.50e3");
  assert.equal(indented(text), `${plain}\n`);
  assert.equal(indented("[]"), "[]\n");
  assert.equal(indented('{"a":9223372036854775807}'), '{\n  "a": 9223372036854775807\n}\n');
});

test("a member is put into an object as text", () => {
  const whole = withText({ name: "x", document: {} }, "document", '{"n": 9223372036854775807}');
  assert.equal(whole, '{"document":{"n": 9223372036854775807},"name":"x"}');
  assert.equal(withText({}, "a", "1"), '{"a":1}');
});
