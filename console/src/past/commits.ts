import type { Model } from "../api/client";

type Change = Model["Change"];

/** All changes of an application by one commit. */
export type Commit = { revision: string; changes: Change[] };

/** Return the commits of changes that are newest first. */
export function commitsOf(changes: readonly Change[]): Commit[] {
  const commits: Commit[] = [];
  for (const change of changes) {
    const last = commits.at(-1);
    if (last && last.revision === change.revision) last.changes.push(change);
    else commits.push({ revision: change.revision ?? "", changes: [change] });
  }
  return commits;
}
