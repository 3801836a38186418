/** Which schemas make a form. The others are edited as text. */
import { isObject } from "./content";

export type SchemaDocument = Readonly<Record<string, unknown>>;

const MOST_BYTES = 50_000;
const UNIONS = ["oneOf", "anyOf"];
const ODD = ["$dynamicRef", "$recursiveRef"];

/** Return why a schema makes no form; empty if it makes one. */
export function reasonAgainstForm(document: SchemaDocument): string {
  if (JSON.stringify(document).length > MOST_BYTES) return "its schema is larger than 50 KB";
  if (!isObject(document.properties)) return "its schema names no members";
  return reasonInside(document, document, []);
}

function reasonInside(root: SchemaDocument, node: unknown, references: readonly string[]): string {
  if (Array.isArray(node)) return firstOf(node, (one) => reasonInside(root, one, references));
  if (!isObject(node)) return "";
  if (UNIONS.some((name) => Array.isArray(node[name])) || Array.isArray(node.type)) {
    return "its schema offers several forms for one value";
  }
  if (ODD.some((name) => name in node)) return "its schema refers to what is only known at the place of use";
  if (typeof node.$ref === "string") {
    const reason = reasonAgainstReference(root, node.$ref, references);
    if (reason) return reason;
  }
  // Values that look like schemas, but are none.
  const schemas = Object.entries(node).filter(
    ([name]) => !["const", "enum", "default", "examples"].includes(name),
  );
  return firstOf(schemas, ([, value]) => reasonInside(root, value, references));
}

function reasonAgainstReference(
  root: SchemaDocument,
  reference: string,
  references: readonly string[],
): string {
  if (!reference.startsWith("#")) return "its schema refers to another schema";
  if (references.includes(reference)) return "its schema refers to itself";
  const target = targetOf(root, reference);
  if (target === undefined) return `its schema refers to ${reference}, which the form cannot find`;
  return reasonInside(root, target, [...references, reference]);
}

function targetOf(root: SchemaDocument, reference: string): unknown {
  let node: unknown = root;
  for (const part of reference.slice(1).split("/").slice(1)) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof node !== "object" || node === null || !Object.hasOwn(node, name)) return undefined;
    node = (node as Record<string, unknown>)[name];
  }
  // An anchor, such as #address.
  return reference.length > 1 && !reference.startsWith("#/") ? undefined : node;
}

function firstOf<T>(values: readonly T[], reason: (value: T) => string): string {
  for (const one of values) {
    const found = reason(one);
    if (found) return found;
  }
  return "";
}
