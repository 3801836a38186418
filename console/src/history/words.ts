import type { Json } from "../configuration/content";

const TYPES: Readonly<Record<string, string>> = {
  CHANGE_TYPE_CREATED: "created",
  CHANGE_TYPE_UPDATED: "changed",
  CHANGE_TYPE_DELETED: "deleted",
};
const MOST_SHOWN = 80;

export function typeName(type: string | undefined): string {
  return TYPES[type ?? ""] ?? "";
}

/** Return a value as JSON that fits into a line. */
export function shortened(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN - 1)}…` : text;
}
