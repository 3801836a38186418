import type { Model } from "../api/client";
import { to } from "../app/routes";

export const KINDS = [
  ["RESOURCE_KIND_APPLICATION", "application"],
  ["RESOURCE_KIND_CONFIGURATION", "configuration"],
  ["RESOURCE_KIND_SCHEMA", "schema"],
  ["RESOURCE_KIND_ROLE_BINDING", "role binding"],
] as const;

export function kindName(kind: string | undefined): string {
  return KINDS.find(([value]) => value === kind)?.[1] ?? "";
}

/** Return the address of the history of what a change changed. */
export function historyOf({ kind, application, name, version, resource_id }: Model["Change"]): string {
  if (kind === "RESOURCE_KIND_CONFIGURATION")
    return to.history(application ?? "", name ?? "", { to: version });
  if (kind === "RESOURCE_KIND_SCHEMA") return to.schema(name ?? "", { version });
  // These have no versions to compare: the audit is their history.
  return to.audit({ resource_id });
}
