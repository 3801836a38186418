/** All screens by address. Each is a file of its own, read when it is first shown. */
import { type ComponentType, lazy } from "react";

/** What every screen gets: the names in its address. */
export type ScreenProps = { names: Readonly<Record<string, string>> };

type Load = () => Promise<{ default: ComponentType<ScreenProps> }>;
type Screen = { pattern: string; component: ComponentType<ScreenProps> };

const screen = (pattern: string, load: Load): Screen => ({ pattern, component: lazy(load) });

const SCREENS: readonly Screen[] = [
  screen("configurations", () => import("../applications/ConfigurationsScreen")),
  screen("configurations/:application/:name", () => import("../configuration/ConfigurationScreen")),
  screen("configurations/:application/:name/edit", () => import("../configuration/EditScreen")),
  screen("configurations/:application/:name/history", () => import("../history/HistoryScreen")),
  screen("configurations/:application/:name/blame", () => import("../history/BlameScreen")),
  screen("audit", () => import("../audit/AuditScreen")),
  screen("new-configuration", () => import("../configuration/NewScreen")),
  screen("applications", () => import("../applications/ApplicationsScreen")),
  screen("applications/:application", () => import("../applications/ApplicationScreen")),
  screen("applications/:application/past", () => import("../past/PastScreen")),
  screen("schemas", () => import("../schemas/SchemasScreen")),
  screen("new-schema", () => import("../schemas/NewSchemaScreen")),
  screen("operations", () => import("../operations/OperationsScreen")),
  screen("transfer", () => import("../transfer/TransferScreen")),
  screen("status", () => import("../status/StatusScreen")),
  screen("access", () => import("../access/AccessScreen")),
  screen("schemas/:name", () => import("../schemas/SchemaScreen")),
  screen("schemas/:name/new-version", () => import("../schemas/NewVersionScreen")),
  screen("schemas/:name/migrate", () => import("../schemas/MigrateScreen")),
  screen("operations/:name", () => import("../operations/OperationScreen")),
];

/** Return the screen of an address, and the names in it. The first one is shown without an address. */
export function screenOf(
  segments: readonly string[],
): { component: ComponentType<ScreenProps>; names: ScreenProps["names"] } | undefined {
  const asked = segments.length ? segments : ["configurations"];
  for (const { pattern, component } of SCREENS) {
    const names = matched(pattern.split("/"), asked);
    if (names) return { component, names };
  }
  return undefined;
}

export function matched(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const names: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const given = segments[index] ?? "";
    if (part.startsWith(":")) names[part.slice(1)] = given;
    else if (part !== given) return undefined;
  }
  return names;
}
