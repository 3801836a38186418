/** Contents as text: what the editor has, and what is compared. */
import { syntaxPlace } from "./places";

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [name: string]: Json };

/** Return a content as people read it. */
export function written(content: unknown): string {
  return `${JSON.stringify(content ?? {}, null, 2)}\n`;
}

/** Return the object that a text has, or what is wrong with it and where. */
export function parsed(text: string): { content: JsonObject } | { fault: string; at: number } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { message } = error as SyntaxError;
    return { fault: `This is not JSON: ${message}`, at: syntaxPlace(text, message) };
  }
  if (!isObject(value)) return { fault: "A content is a JSON object: it begins with {", at: 0 };
  return { content: value };
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Return whether two JSON values are the same, whatever the order of their members. */
export function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((one, index) => isSame(one, b[index]));
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSame(a[name], b[name]))
  );
}

/** Return whether two texts have the same content, however it is laid out. */
export function isSameText(a: string, b: string): boolean {
  const [first, second] = [parsed(a), parsed(b)];
  return a === b || ("content" in first && "content" in second && isSame(first.content, second.content));
}

/** Return a JSON Pointer (RFC 6901) to a path. */
export function pointer(path: readonly (string | number)[]): string {
  return path.map((one) => `/${String(one).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** Return the path of a JSON Pointer. */
export function pathOf(text: string): string[] {
  return text
    .split("/")
    .slice(1)
    .map((one) => one.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Return the same value with its members in the order of another one, so that a comparison shows only what differs. */
export function arranged(value: Json, like: Json | undefined): Json {
  if (Array.isArray(value))
    return value.map((one, index) => arranged(one, Array.isArray(like) ? like[index] : undefined));
  if (!isObject(value)) return value;
  const known = isObject(like) ? Object.keys(like).filter((name) => Object.hasOwn(value, name)) : [];
  const names = new Set([...known, ...Object.keys(value)]);
  const member = (name: string) => (isObject(like) && Object.hasOwn(like, name) ? like[name] : undefined);
  return Object.fromEntries([...names].map((name) => [name, arranged(value[name] as Json, member(name))]));
}
