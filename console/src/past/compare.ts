/** What changed between two states of an application. */
import { isSame, type Json } from "../configuration/content";
import type { Configuration } from "../configuration/queries";

export type Difference = {
  kind: "added" | "removed" | "changed";
  name: string;
  before: Configuration | undefined;
  after: Configuration | undefined;
};

/** Return the differences by name. A configuration that was renamed is one that changed. */
export function differences(before: readonly Configuration[], after: readonly Configuration[]): Difference[] {
  const old = new Map(before.map((one) => [one.id ?? "", one]));
  const found: Difference[] = [];
  for (const one of after) {
    const was = old.get(one.id ?? "");
    old.delete(one.id ?? "");
    const name = one.name ?? "";
    if (!was) found.push({ kind: "added", name, before: undefined, after: one });
    else if (!isSameConfiguration(was, one)) found.push({ kind: "changed", name, before: was, after: one });
  }
  for (const one of old.values())
    found.push({ kind: "removed", name: one.name ?? "", before: one, after: undefined });
  return found.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

function isSameConfiguration(a: Configuration, b: Configuration): boolean {
  return a.version === b.version || (a.name === b.name && isSame(a.config as Json, b.config as Json));
}
