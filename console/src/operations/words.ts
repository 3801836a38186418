import type { Operation } from "./queries";

const KINDS: Readonly<Record<string, string>> = {
  KIND_IMPORT_CONFIGURATIONS: "import",
  KIND_MIGRATE_CONFIGURATIONS: "migration",
};

export function kindOf(operation: Operation): string {
  const { kind, validate_only } = operation.metadata ?? {};
  return `${KINDS[kind ?? ""] ?? "operation"}${validate_only ? " (dry run)" : ""}`;
}

export function stateOf(operation: Operation): string {
  return (operation.metadata?.state ?? "").replace(/^STATE_/, "").toLowerCase();
}
