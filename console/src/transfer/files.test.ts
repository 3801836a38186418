import assert from "node:assert/strict";
import { test } from "node:test";
import { itemsOf, linesOf } from "./files";

const item = { application: { name: "shop" }, name: "web", config: { n: 1 } };

test("an export has its items", () => {
  const text = `${JSON.stringify({ items: [item], revision: "4" })}\n${JSON.stringify({ items: [item] })}\n`;
  assert.deepEqual(itemsOf("export.ndjson", text), { file: "export.ndjson", items: [item, item], fault: "" });
  assert.deepEqual(itemsOf("one.json", JSON.stringify({ items: [item] })).items, [item]);
});

test("a plain content is a configuration that is named like its file", () => {
  assert.deepEqual(itemsOf("limits.json", '{\n "n": 1\n}').items, [{ name: "limits", config: { n: 1 } }]);
});

test("an export that failed in its middle is refused, as is what is not JSON", () => {
  const broken = `${JSON.stringify({ items: [item] })}\n{"error": {"message": "the database does not respond"}}\n`;
  assert.match(itemsOf("export.ndjson", broken).fault, /failed before it was whole: the database/);
  assert.match(itemsOf("a.json", "{").fault, /not JSON/);
  assert.match(itemsOf("a.ndjson", `${JSON.stringify({ items: [item] })}\n{`).fault, /line 2 is not JSON/);
  assert.match(itemsOf("a.json", "[1]").fault, /JSON object/);
});

test("an import has some items a line, all of the chosen application", () => {
  const lines = linesOf(
    Array.from({ length: 201 }, () => item),
    "other",
  );
  assert.equal(lines.length, 2);
  assert.deepEqual(JSON.parse(lines[1] ?? "").items, [{ ...item, application: { name: "other" } }]);
});
