/** What differs between two contents, by JSON pointer. The rule is that of `configsvc config diff`. */
import { isObject, isSame, type Json, pointer } from "../configuration/content";

export type Difference = {
  sign: "+" | "-" | "~";
  pointer: string;
  before?: Json;
  after?: Json;
};

/** Return the differences of two contents. Elements of arrays are compared by index. */
export function differences(before: Json, after: Json): Difference[] {
  return [...differing(before, after, [])];
}

type Path = readonly (string | number)[];

function* differing(before: Json | undefined, after: Json | undefined, path: Path): Generator<Difference> {
  if (before === undefined) {
    if (after !== undefined) yield { sign: "+", pointer: pointer(path), after };
  } else if (after === undefined) yield { sign: "-", pointer: pointer(path), before };
  else if (isSame(before, after)) return;
  else if (isObject(before) && isObject(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)]))
      yield* differing(memberOf(before, name), memberOf(after, name), [...path, name]);
  } else if (Array.isArray(before) && Array.isArray(after)) {
    for (let index = 0; index < Math.max(before.length, after.length); index++)
      yield* differing(before[index], after[index], [...path, index]);
  } else yield { sign: "~", pointer: pointer(path), before, after };
}

function memberOf(value: { [name: string]: Json }, name: string): Json | undefined {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}
