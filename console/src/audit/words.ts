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

/** Return the address of what a change changed; undefined if there is no screen of it. */
export function linkOf(change: Model["Change"]): string | undefined {
  const name = change.name ?? "";
  switch (change.kind) {
    case "RESOURCE_KIND_CONFIGURATION":
      return to.history(change.application ?? "", name, { to: change.version });
    case "RESOURCE_KIND_APPLICATION":
      return to.application(name);
    case "RESOURCE_KIND_SCHEMA":
      return to.schema(name);
    case "RESOURCE_KIND_ROLE_BINDING":
      return to.access();
    default:
      return undefined;
  }
}
