import assert from "node:assert/strict";
import { test } from "node:test";
import { reasonAgainstForm } from "./formable";

const object = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });

test("a schema of plain members makes a form, also with references of its own", () => {
  const port = { $ref: "#/$defs/port" };
  const schema = object(
    { a: port, b: { type: "array", items: port } },
    { $defs: { port: { type: "integer" } } },
  );
  assert.equal(reasonAgainstForm(schema), "");
});

test("unions, recursion, foreign references and large schemas do not", () => {
  assert.match(reasonAgainstForm(object({ a: { oneOf: [{}, {}] } })), /several forms/);
  assert.match(reasonAgainstForm(object({ a: { type: ["string", "null"] } })), /several forms/);
  assert.match(reasonAgainstForm(object({ a: { $ref: "#" } })), /refers to itself/);
  const node = object({ next: { $ref: "#/$defs/node" } });
  assert.match(
    reasonAgainstForm(object({ a: { $ref: "#/$defs/node" } }, { $defs: { node } })),
    /refers to itself/,
  );
  assert.match(reasonAgainstForm(object({ a: { $ref: "other" } })), /another schema/);
  assert.match(reasonAgainstForm(object({ a: { $ref: "#/$defs/none" } })), /cannot find/);
  assert.match(reasonAgainstForm(object({ a: { description: "x".repeat(60_000) } })), /larger/);
  assert.match(reasonAgainstForm({ type: "object" }), /names no members/);
});

test("values that look like schemas are values", () => {
  assert.equal(reasonAgainstForm(object({ a: { default: { oneOf: [] }, enum: [{ $ref: "x" }] } })), "");
});
