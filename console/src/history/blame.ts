/** Who last set each value of a content. The rule is that of `configsvc config blame`. */
import { isObject, isSame, type Json, pointer } from "../configuration/content";

const INDEX = /^(0|[1-9]\d*)$/;

export type Blamed<V> = {
  pointer: string;
  value: Json;
  version: V;
  /** The history before that version is gone: it may have had the value already. */
  isOldestKept: boolean;
};

/** Finds the version that last set each leaf of the newest content, from versions newest first. */
export class Blamer<V> {
  readonly found: Blamed<V>[];
  private readonly open = new Map<Blamed<V>, readonly string[]>();

  constructor(newest: V, content: Json) {
    const leaves = [...leavesOf(content, [])];
    this.found = leaves.map(([path, value]) => ({
      pointer: pointer(path),
      value,
      version: newest,
      isOldestKept: false,
    }));
    for (const [index, [path]] of leaves.entries()) this.open.set(this.found[index] as Blamed<V>, path);
  }

  /** Whether older versions can change nothing. */
  get isDone(): boolean {
    return this.open.size === 0;
  }

  /** Take the next older version into account. */
  lookAt(version: V, content: Json | undefined): void {
    for (const [blamed, path] of this.open) {
      if (isSame(valueAt(content, path), blamed.value)) blamed.version = version;
      else this.open.delete(blamed);
    }
  }

  /** Mark what the oldest version that is kept already had. */
  endAtCompaction(): void {
    for (const blamed of this.open.keys()) blamed.isOldestKept = true;
  }
}

function* leavesOf(content: Json, path: readonly string[]): Generator<[readonly string[], Json]> {
  const members = Array.isArray(content)
    ? [...content.entries()]
    : isObject(content)
      ? Object.entries(content)
      : [];
  if (!members.length) yield [path, content];
  for (const [name, value] of members) yield* leavesOf(value, [...path, String(name)]);
}

function valueAt(content: Json | undefined, path: readonly string[]): Json | undefined {
  let value = content;
  for (const part of path) {
    // Number("") is 0, and Number("1e0") is 1.
    if (Array.isArray(value)) value = INDEX.test(part) ? value[Number(part)] : undefined;
    else if (isObject(value) && Object.hasOwn(value, part)) value = value[part];
    else return undefined;
  }
  return value;
}
