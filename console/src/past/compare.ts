/** What changed in an application between two moments. */

export type Row = { id?: string; name?: string; version?: string };

export type ChangeOf<R> =
  | { kind: "added"; name: string; after: R }
  | { kind: "removed"; name: string; before: R }
  /** Of another version, or another one with the same name. */
  | { kind: "changed"; name: string; before: R; after: R };

/**
 * Return what differs, by name.
 *
 * A configuration is followed by its id, so that one with a new name has changed. One that was deleted and another one
 * that was created with its name are a change too.
 */
export function compare<R extends Row>(before: readonly R[], after: readonly R[]): ChangeOf<R>[] {
  const earlier = new Map(before.map((one) => [one.id, one]));
  const changes: ChangeOf<R>[] = [];
  const added: R[] = [];
  for (const one of after) {
    const old = earlier.get(one.id);
    earlier.delete(one.id);
    if (!old) added.push(one);
    else if (old.version !== one.version) changes.push(changed(old, one));
  }
  const gone = new Map([...earlier.values()].map((one) => [one.name, one]));
  for (const one of added) {
    const old = gone.get(one.name);
    gone.delete(one.name);
    changes.push(old ? changed(old, one) : { kind: "added", name: one.name ?? "", after: one });
  }
  for (const one of gone.values()) changes.push({ kind: "removed", name: one.name ?? "", before: one });
  return changes.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

function changed<R extends Row>(before: R, after: R): ChangeOf<R> {
  return { kind: "changed", name: after.name ?? "", before, after };
}
