/** The walk through a schema document. Only where a keyword has schemas are there any: values that look like some are none. */
import { isObject, type Json, type JsonObject } from "./content";

export type SchemaDocument = Readonly<Record<string, unknown>>;

const ONE = [
  "additionalItems",
  "additionalProperties",
  "contains",
  "else",
  "if",
  "items",
  "not",
  "propertyNames",
  "then",
  "unevaluatedItems",
  "unevaluatedProperties",
];
const LISTS = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
const NAMED = ["dependencies", "dependentSchemas", "patternProperties", "properties"];
const LIBRARIES = ["$defs", "definitions"];

/** Return the schemas that apply to parts of the value of a schema. */
export function partsOf(schema: SchemaDocument): SchemaDocument[] {
  const lists = LISTS.flatMap((name) => (Array.isArray(schema[name]) ? (schema[name] as unknown[]) : []));
  const named = NAMED.flatMap((name) => (isObject(schema[name]) ? Object.values(schema[name]) : []));
  return [...ONE.map((name) => schema[name]), ...lists, ...named].filter(isObject);
}

/** Return what a reference leads to inside its document; undefined if it leads nowhere. */
export function targetOf(document: SchemaDocument, reference: string): SchemaDocument | undefined {
  if (reference !== "#" && !reference.startsWith("#/")) return undefined;
  let node: unknown = document;
  for (const part of reference.split("/").slice(1)) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof node !== "object" || node === null || !Object.hasOwn(node, name)) return undefined;
    node = (node as Record<string, unknown>)[name];
  }
  return isObject(node) ? node : undefined;
}

/**
 * Return a document for a form that writes only what somebody types in it.
 *
 * A default is said, not filled in. Items that must differ stay a list, as check boxes would sort them.
 */
export function documentForForm(schema: SchemaDocument): SchemaDocument {
  return plain(schema as JsonObject) as SchemaDocument;
}

function plain(schema: Json): Json {
  if (!isObject(schema)) return schema;
  const { default: given, uniqueItems, $id, ...rest } = schema;
  const members = Object.entries(rest).map(([name, value]): [string, Json] => {
    if (Array.isArray(value)) return [name, LISTS.includes(name) ? value.map(plain) : value];
    if ([...NAMED, ...LIBRARIES].includes(name) && isObject(value)) {
      return [name, Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]))];
    }
    return [name, ONE.includes(name) ? plain(value) : value];
  });
  const said = given === undefined ? [] : [`Default: ${JSON.stringify(given)}`];
  const text = [...(typeof rest.description === "string" ? [rest.description] : []), ...said].join(" – ");
  return { ...Object.fromEntries(members), ...(text && { description: text }) };
}
