import assert from "node:assert/strict";
import { test } from "node:test";
import { reasonAgainstContent, reasonAgainstForm } from "./formable";
import { documentForForm } from "./schemas";

const object = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });

test("a schema of plain members makes a form, also with references of its own", () => {
  const port = { $ref: "#/$defs/port" };
  const $defs = { port: { type: "integer" }, unused: { oneOf: [] }, root: object({ port }) };
  assert.equal(reasonAgainstForm(object({ a: port, b: { type: "array", items: port } }, { $defs })), "");
  assert.equal(reasonAgainstForm({ $ref: "#/$defs/root", $defs }), "");
  assert.equal(reasonAgainstForm({ type: "object", additionalProperties: port, $defs }), "");
});

test("unions, recursion, foreign references and large schemas do not", () => {
  assert.match(reasonAgainstForm(object({ a: { oneOf: [{}, {}] } })), /several forms/);
  assert.match(reasonAgainstForm(object({ default: { items: { oneOf: [] } } })), /several forms/);
  assert.match(reasonAgainstForm(object({ a: { type: ["string", "null"] } })), /several forms/);
  assert.match(reasonAgainstForm(object({ a: { $ref: "#" } })), /refers to itself/);
  const node = object({ next: { $ref: "#/$defs/node" } });
  assert.match(
    reasonAgainstForm(object({ a: { $ref: "#/$defs/node" } }, { $defs: { node } })),
    /refers to itself/,
  );
  assert.match(reasonAgainstForm(object({ a: { $ref: "other" } })), /another schema/);
  assert.match(reasonAgainstForm(object({ a: { $ref: "#/$defs/none" } })), /cannot find/);
  assert.match(reasonAgainstForm({ $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } }), /cannot find/);
  assert.match(reasonAgainstForm(object({ a: { description: "x".repeat(60_000) } })), /larger/);
  assert.match(reasonAgainstForm({ type: "object" }), /names no members/);
});

test("references that double at each step make no form, and take no time", () => {
  const $defs: Record<string, object> = { d0: { type: "string" } };
  for (let step = 1; step < 60; step++) {
    const $ref = `#/$defs/d${step - 1}`;
    $defs[`d${step}`] = object({ left: { $ref }, right: { $ref } });
  }
  assert.match(reasonAgainstForm(object({ a: { $ref: "#/$defs/d59" } }, { $defs })), /over 2,000 parts/);
  assert.equal(reasonAgainstForm(object({ a: { $ref: "#/$defs/d5" } }, { $defs })), "");
});

test("values that look like schemas are values", () => {
  assert.equal(reasonAgainstForm(object({ a: { default: { oneOf: [] }, enum: [{ $ref: "x" }] } })), "");
});

test("a large content, and one with a name that forms do not keep, is edited as text", () => {
  assert.equal(reasonAgainstContent('{"a": 1}'), "");
  assert.match(reasonAgainstContent(JSON.stringify({ a: "x".repeat(60_000) })), /larger/);
  assert.match(reasonAgainstContent('{"__proto__": 1}'), /__proto__/);
});

test("a form says defaults, and fills in none", () => {
  const schema = object(
    {
      default: { type: "integer", default: 0, description: "how many" },
      l: { uniqueItems: true, items: { default: "" } },
    },
    { default: { default: 1 }, $defs: { x: { default: null } } },
  );
  assert.deepEqual(documentForForm(schema), {
    type: "object",
    properties: {
      default: { type: "integer", description: "how many – Default: 0" },
      l: { items: { description: 'Default: ""' } },
    },
    $defs: { x: { description: "Default: null" } },
    description: 'Default: {"default":1}',
  });
});
