import { isObject, isSame, type Json, type JsonObject } from "./content";

/**
 * Return a content with what changed between two states of a form, and nothing else.
 *
 * A form adds members on its own, such as empty objects: some before anybody changes something, and some with the first
 * change. They stay out of the content, unless an empty member is all that was added.
 */
export function withChange(content: Json, before: Json, after: Json): Json {
  const filled = changed(content, before, after, true);
  return isSame(filled, content) ? changed(content, before, after, false) : filled;
}

function changed(
  content: Json | undefined,
  before: Json | undefined,
  after: Json,
  onlyFilled: boolean,
): Json {
  if (isSame(before, after)) return content ?? after;
  if (isObject(content) && isObject(before) && isObject(after)) {
    return changedObject(content, before, after, onlyFilled);
  }
  if (Array.isArray(content) && Array.isArray(before) && Array.isArray(after)) {
    if (content.length === after.length && before.length === after.length) {
      return after.map((one, index) => changed(content[index], before[index], one, onlyFilled));
    }
  }
  return after;
}

function changedObject(
  content: JsonObject,
  before: JsonObject,
  after: JsonObject,
  onlyFilled: boolean,
): Json {
  const members: [string, Json][] = [];
  for (const name of new Set([...Object.keys(content), ...Object.keys(after)])) {
    const [own, old, next] = [content, before, after].map((one) =>
      Object.hasOwn(one, name) ? one[name] : undefined,
    );
    if (isSame(old, next)) {
      if (own !== undefined) members.push([name, own]);
    } else if (next !== undefined && !(onlyFilled && own === undefined && isEmpty(next))) {
      members.push([name, changed(own, old, next, onlyFilled)]);
    }
  }
  return Object.fromEntries(members);
}

function isEmpty(value: Json): boolean {
  return typeof value === "object" && value !== null && Object.values(value).every(isEmpty);
}
