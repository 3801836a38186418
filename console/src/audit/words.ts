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

/** Return a time as the API takes it, from what people write: their own time if they name no zone. */
export function timeOf(text: string): string {
  return new Date(text.trim().replace(" ", "T")).toISOString();
}

export function faultOfTime(text: string): string {
  return Number.isNaN(new Date(text.trim().replace(" ", "T")).getTime())
    ? "Write a time like 2026-01-31 12:00, or 2026-01-31T12:00:00Z."
    : "";
}
