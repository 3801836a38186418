/** Return a number with its noun: 1 configuration, 2 configurations. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Say how many there are beyond those that are shown; empty if all are. */
export function beyond(count: number, shown: number): string {
  return count > shown ? `and ${(count - shown).toLocaleString("en")} more` : "";
}
