import assert from "node:assert/strict";
import { test } from "node:test";
import { linesOf, readText, twice } from "./reading";

const LINE =
  '{"items":[{"application":{"name":"shop"},"name":"team/web","config":{"n":9223372036854775807},"schema":{"schema":"s","version":"1"}}],"revision":"7","epoch":"e"}';

test("an export is read line by line, and its contents keep every digit", () => {
  const { items, faults } = readText("shop.jsonl", `${LINE}\r\n\n${LINE.replace("team/web", "b")}\n`);
  assert.deepEqual(faults, []);
  assert.deepEqual(
    items.map((one) => `${one.application}/${one.name}`),
    ["shop/team/web", "shop/b"],
  );
  assert.deepEqual(linesOf(items.slice(0, 1), ""), [
    '{"items":[{"application":{"name":"shop"},"name":"team/web","config":{"n":9223372036854775807},"schema":{"schema":"s","version":"1"}}]}\n',
  ]);
  assert.equal(readText("one.json", LINE).items[0]?.name, "team/web");
});

test("what the command line exports is read, too", () => {
  const text =
    '{"revision":7,"epoch":"e","configurations":[\n{"application":"shop","name":"a","config":{}},\n{"application":"shop","name":"b","config":{}}\n]}\n';
  const { items, faults } = readText("shop.json", text);
  assert.deepEqual(faults, []);
  assert.deepEqual(linesOf(items, ""), [
    '{"items":[{"application":{"name":"shop"},"name":"a","config":{}},{"application":{"name":"shop"},"name":"b","config":{}}]}\n',
  ]);
  assert.equal(readText("list.json", '[{"application":"shop","name":"a","config":{}}]').items.length, 1);
});

test("another object is the content of a configuration that is named as its file", () => {
  const read = readText("limits.json", '{\r\n  "n": 12345678901234567890,\n  "items": [1]\n}\n');
  assert.deepEqual(read.faults, []);
  assert.deepEqual(linesOf(read.items, "shop"), [
    '{"items":[{"application":{"name":"shop"},"name":"limits","config":{   "n": 12345678901234567890,   "items": [1] }}]}\n',
  ]);
  assert.equal(readText("e.json", '{"items": [], "configurations": []}').items[0]?.name, "e");
});

test("an export that failed in its middle is refused", () => {
  const failed = `${LINE}\n{"error":{"code":9,"message":"compacted"}}\n`;
  assert.match(readText("shop.jsonl", failed).faults[0] ?? "", /^line 2: This export failed/);
  assert.match(readText("shop.jsonl", '{"error":{"code":9}}\n').faults[0] ?? "", /This export failed/);
});

test("faults say where they are", () => {
  assert.deepEqual(readText("a.json", " \n").faults, ["It is empty."]);
  assert.match(readText("a.json", "{").faults[0] ?? "", /^It is not JSON/);
  assert.match(readText("a.json", "3").faults[0] ?? "", /neither/);
  assert.match(readText("a.jsonl", `${LINE}\n{"x":\n`).faults[0] ?? "", /^line 2: It is not JSON/);
  assert.match(
    readText("a.jsonl", `${LINE}\n{"x":1}\n`).faults[0] ?? "",
    /^line 2: It is no line of an export/,
  );
  const odd = LINE.replace('"config"', '"nonsense":1,"config"');
  assert.match(readText("a.jsonl", odd).faults[0] ?? "", /item 1: It has an unknown member, nonsense/);
  assert.match(readText("a.json", '[{"name":"a"}]').faults[0] ?? "", /needs application, name and config/);
  assert.match(readText("a.json", "[3]").faults[0] ?? "", /not a JSON object/);
});

test("a line of an import has at most a thousand items, and not too many characters", () => {
  const item = { application: "", applicationText: "", name: "a", rest: '"name":"a","config":{}' };
  const lines = linesOf(Array(2001).fill(item), "shop");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).items.length),
    [1000, 1000, 1],
  );
  const large = { ...item, rest: `"name":"a","config":{"x":"${"x".repeat(600_000)}"}` };
  assert.equal(linesOf([large, large, large], "shop").length, 3);
});

test("a name that stands twice is found in whatever files it is", () => {
  const [one, other] = [readText("a.json", "{}"), readText("b.jsonl", LINE)];
  assert.deepEqual(twice([one, other], "shop"), []);
  assert.deepEqual(twice([one, readText("a.json", "{}")], "shop"), [
    "shop/a stands twice: in a.json and in a.json.",
  ]);
});
