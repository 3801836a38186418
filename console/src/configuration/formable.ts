/** Which schemas make a form. The others are edited as text. */
import { isObject } from "./content";
import { partsOf, type SchemaDocument, targetOf } from "./schemas";

const MOST_CHARACTERS = 50_000;
/** What a form shows at most, with all references written out: more is slower than the hand that types. */
const MOST_PARTS = 2_000;
const UNIONS = ["oneOf", "anyOf"];
const ODD = ["$dynamicRef", "$recursiveRef"];
/** A name that the form takes for something else than a member. */
const UNSAFE = '"__proto__"';

/** Return why a schema makes no form; empty if it makes one. */
export function reasonAgainstForm(document: SchemaDocument): string {
  const text = JSON.stringify(document);
  if (text.length > MOST_CHARACTERS) return "its schema is larger than 50 KB";
  if (text.includes(UNSAFE)) return "its schema has a member __proto__";
  const root = resolved(document, document, []);
  if (!root) return "its schema refers to what the form cannot find";
  if (![root.properties, root.additionalProperties, root.patternProperties].some(isObject)) {
    return "its schema names no members";
  }
  const walk: Walk = { document, open: new Set(), sizes: new Map() };
  const found = measured(walk, document);
  if (typeof found === "string") return found;
  return found > MOST_PARTS ? `its form would have over ${MOST_PARTS.toLocaleString("en")} parts` : "";
}

/** Return why a text is not shown in a form; empty if it is. */
export function reasonAgainstContent(text: string): string {
  if (text.length > MOST_CHARACTERS) return "its text is larger than 50 KB";
  if (text.includes(UNSAFE)) return "it has a member __proto__";
  return "";
}

function resolved(
  document: SchemaDocument,
  schema: SchemaDocument,
  before: readonly string[],
): SchemaDocument | undefined {
  if (typeof schema.$ref !== "string") return schema;
  const target = before.includes(schema.$ref) ? undefined : targetOf(document, schema.$ref);
  const found = target && resolved(document, target, [...before, schema.$ref]);
  return found && { ...found, ...schema };
}

/** `open`: the references that lead to where the walk is. `sizes`: those of references that it has left. */
type Walk = { document: SchemaDocument; open: Set<string>; sizes: Map<string, number> };

/** Return how many parts a schema has with its references written out, or why it makes no form. */
function measured(walk: Walk, schema: SchemaDocument): number | string {
  if (UNIONS.some((name) => Array.isArray(schema[name])) || Array.isArray(schema.type)) {
    return "its schema offers several forms for one value";
  }
  if (ODD.some((name) => name in schema)) {
    return "its schema refers to what is only known at the place of use";
  }
  let size = 1;
  if (typeof schema.$ref === "string") {
    const referred = measuredReference(walk, schema.$ref);
    if (typeof referred === "string") return referred;
    size += referred;
  }
  for (const part of partsOf(schema)) {
    const found = measured(walk, part);
    if (typeof found === "string") return found;
    size += found;
  }
  return size;
}

function measuredReference(walk: Walk, reference: string): number | string {
  const known = walk.sizes.get(reference);
  if (known !== undefined) return known;
  if (!reference.startsWith("#")) return "its schema refers to another schema";
  if (walk.open.has(reference) || reference === "#") return "its schema refers to itself";
  const target = targetOf(walk.document, reference);
  if (!target) return `its schema refers to ${reference}, which the form cannot find`;
  walk.open.add(reference);
  const found = measured(walk, target);
  walk.open.delete(reference);
  if (typeof found === "number") walk.sizes.set(reference, found);
  return found;
}
