import assert from "node:assert/strict";
import { test } from "node:test";
import { placesOf, syntaxPlace } from "./places";

const TEXT = '{\n  "tls": {"port": 80, "a/b": [1, {"x": "é"}]},\n  "n": null\n}';
const at = (pointer: string, text = TEXT) => {
  const [place] = placesOf(text, [pointer]);
  return text.slice(place?.from, place?.to);
};

test("a pointer leads to its member, with the name", () => {
  assert.equal(at("/tls/port"), '"port": 80');
  assert.equal(at("/tls/a~1b/1/x"), '"x": "é"');
  assert.equal(at("/tls/a~1b/0"), "1");
  assert.equal(at("/n"), '"n": null');
  assert.equal(at("/a", '{"a": 1, "a": 2}'), '"a": 2');
});

test("a pointer to nothing leads to what is around it", () => {
  assert.equal(at("/tls/missing"), '"tls": {"port": 80, "a/b": [1, {"x": "é"}]}');
  assert.equal(at("/missing"), "{");
  assert.equal(at(""), "{");
  assert.deepEqual(placesOf("", ["/a"]), [{ from: 0, to: 0 }]);
});

test("a text that is not JSON has the place where it stops to be JSON", () => {
  const broken = [
    '{"a": }',
    '{"a": 1,}',
    '{"a" 1}',
    '{"a": tru}',
    "{'a': 1}",
    '{"a": 1} x',
    '{"a": 01}',
    '{"a": "\\x"}',
  ];
  const places = broken.map((text) => {
    try {
      JSON.parse(text);
      return -1;
    } catch (error) {
      return syntaxPlace(text, (error as Error).message);
    }
  });
  assert.deepEqual(places, [6, 8, 5, 6, 1, 9, 7, 8]);
});

test("a browser that says the line and the column is believed", () => {
  assert.equal(
    syntaxPlace('{\n  "a": }', "JSON.parse: unexpected character at line 2 column 8 of the JSON data"),
    9,
  );
});
