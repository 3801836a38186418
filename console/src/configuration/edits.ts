/** Changes of a content as changes of its text. */
import { isObject, isSame, type Json, type JsonObject, pointer, written } from "./content";
import { memberOf, type Node, rootOf } from "./places";

type Edit = { from: number; to: number; text: string };

/** Return a text with another content. What is the same in both stays as it was typed. */
export function edited(text: string, content: JsonObject, next: JsonObject): string {
  const root = rootOf(text);
  if (!root) return written(next);
  const edits = editsOf(root, text, content, next).sort((a, b) => b.from - a.from);
  return edits.reduce((before, one) => before.slice(0, one.from) + one.text + before.slice(one.to), text);
}

function editsOf(node: Node, text: string, before: Json, after: Json): Edit[] {
  if (isSame(before, after)) return [];
  const names = commonNames(before, after);
  if (!names) return [{ from: node.from, to: node.to, text: indented(after, indentAt(text, node.from)) }];
  return names.flatMap((name) => {
    const found = memberOf(node, name, text);
    return found ? editsOf(found.value, text, memberAt(before, name), memberAt(after, name)) : [];
  });
}

/** Return the names of members, or the indexes of items, if two values have the same ones. */
function commonNames(a: Json, b: Json): string[] | undefined {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length ? Object.keys(a) : undefined;
  if (!isObject(a) || !isObject(b)) return undefined;
  const names = Object.keys(a);
  const isCommon = names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name));
  return isCommon ? names : undefined;
}

function memberAt(value: Json, name: string): Json {
  return (value as JsonObject)[name] as Json;
}

function indented(value: Json, indent: string): string {
  return JSON.stringify(value, null, 2).replaceAll("\n", `\n${indent}`);
}

function indentAt(text: string, at: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, at))?.[0] ?? "";
}

export type Path = readonly (string | number)[];

/** Return a value with another one at a path; undefined takes it away. What is not there on the way is made. */
export function changedAt(value: Json | undefined, path: Path, next: Json | undefined): Json | undefined {
  const [part, ...rest] = path;
  if (part === undefined) return next;
  if (Array.isArray(value) || (value === undefined && typeof part === "number")) {
    const items = [...(value ?? [])];
    const changed = changedAt(items[Number(part)], rest, next);
    while (items.length < Number(part)) items.push(null);
    items[Number(part)] = changed ?? null;
    return items;
  }
  const members = isObject(value) ? value : {};
  const own = Object.hasOwn(members, part) ? members[part] : undefined;
  const changed = changedAt(own, rest, next);
  if (changed !== undefined) return { ...members, [part]: changed };
  const { [part]: _, ...others } = members;
  return others;
}

/**
 * Return a content with another value at a path, without the objects around it that are empty now and in `made`.
 *
 * Adds to `made` the pointers of objects that are made on the way: what somebody typed and deleted again leaves nothing.
 */
export function filledAt(
  content: JsonObject,
  path: Path,
  next: Json | undefined,
  made: Set<string>,
): JsonObject {
  const around = path.slice(0, -1).map((_, index) => path.slice(0, index + 1));
  if (next !== undefined) {
    for (const one of around) if (valueAt(content, one) === undefined) made.add(pointer(one));
    return changedAt(content, path, next) as JsonObject;
  }
  let changed = changedAt(content, path, next);
  for (const one of around.reverse()) {
    const value = valueAt(changed, one);
    if (!made.has(pointer(one)) || !isObject(value) || Object.keys(value).length) break;
    changed = changedAt(changed, one, undefined);
  }
  return (changed ?? {}) as JsonObject;
}

function valueAt(value: Json | undefined, path: Path): Json | undefined {
  return path.reduce<Json | undefined>(
    (found, part) =>
      typeof found === "object" && found !== null && Object.hasOwn(found, part)
        ? (found as JsonObject)[part]
        : undefined,
    value,
  );
}
