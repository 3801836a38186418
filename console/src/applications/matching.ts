import type { Configuration } from "../api/view";

/** Return the configurations that have all words of a query, in the order of their names. */
export function matching(rows: readonly Configuration[], query: string): Configuration[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return rows
    .filter((row) => {
      const text =
        `${row.application}/${row.name}\n${row.schema?.schema ?? ""}\n${row.updated_by}`.toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .sort(byName);
}

// Not by locale: a hundred times faster, and the order of the service.
function byName(a: Configuration, b: Configuration): number {
  return compared(a.application ?? "", b.application ?? "") || compared(a.name ?? "", b.name ?? "");
}

function compared(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
