/** A merge of two changes of one content, member by member. */
import { isObject, isSame, type Json, type JsonObject, pointer } from "./content";

/** A place that both have changed, differently. Undefined: the member is not there. */
export type Conflict = {
  pointer: string;
  base: Json | undefined;
  theirs: Json | undefined;
  mine: Json | undefined;
};

export type Choice = "theirs" | "mine";

/**
 * Return the content with the changes of both, and the places where they contradict each other.
 *
 * There, the choices by pointer decide, theirs without one. Objects are merged by member; arrays are values like any
 * other, as their items have no names.
 */
export function merged(
  base: JsonObject,
  theirs: JsonObject,
  mine: JsonObject,
  choices: Readonly<Record<string, Choice>>,
): { content: JsonObject; conflicts: Conflict[] } {
  const conflicts: Conflict[] = [];
  const content = mergedObject([], base, theirs, mine, choices, conflicts);
  return { content, conflicts };
}

function mergedObject(
  path: readonly string[],
  base: JsonObject,
  theirs: JsonObject,
  mine: JsonObject,
  choices: Readonly<Record<string, Choice>>,
  conflicts: Conflict[],
): JsonObject {
  const result: [string, Json][] = [];
  for (const name of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const own = (content: JsonObject) => (Object.hasOwn(content, name) ? content[name] : undefined);
    const value = mergedValue([...path, name], own(base), own(theirs), own(mine), choices, conflicts);
    if (value !== undefined) result.push([name, value]);
  }
  return Object.fromEntries(result);
}

function mergedValue(
  path: readonly string[],
  base: Json | undefined,
  theirs: Json | undefined,
  mine: Json | undefined,
  choices: Readonly<Record<string, Choice>>,
  conflicts: Conflict[],
): Json | undefined {
  if (isSame(theirs, mine) || isSame(base, mine)) return theirs;
  if (isSame(base, theirs)) return mine;
  if (isObject(theirs) && isObject(mine)) {
    return mergedObject(path, isObject(base) ? base : {}, theirs, mine, choices, conflicts);
  }
  const place = pointer(path);
  conflicts.push({ pointer: place, base, theirs, mine });
  return choices[place] === "mine" ? mine : theirs;
}
