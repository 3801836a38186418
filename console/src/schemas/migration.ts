/** What a migration is asked to do. */
import { isObject } from "../configuration/content";
import { parsed } from "../configuration/parsed";

export type PatchKind = "none" | "json_patch" | "merge_patch";

export type Migration = {
  /** Empty: any other version. */
  from: string;
  /** Empty: the newest version. */
  to: string;
  all: boolean;
  application: string;
  prefix: string;
  kind: PatchKind;
  patch: string;
  validOnly: boolean;
};

/** Return what is missing or wrong; empty if nothing is. */
export function faultOf(migration: Migration): string {
  if (!migration.all && !migration.application && !migration.prefix) {
    return "Name an application or a prefix, or choose all configurations.";
  }
  return faultOfPatch(migration.kind, migration.patch);
}

function faultOfPatch(kind: PatchKind, text: string): string {
  if (kind === "none") return "";
  if (kind === "merge_patch") {
    const read = parsed(text);
    return "fault" in read ? read.fault.replace("A content", "A merge patch") : "";
  }
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every(isObject) ? "" : "A JSON Patch is a list of operations.";
  } catch (error) {
    return `This is not JSON: ${(error as Error).message}`;
  }
}

/** Return the request of a migration, without its patch. */
export function requestOf({ from, to, all, application, prefix, validOnly }: Migration) {
  return {
    ...(from && { from_version: from }),
    ...(to && { to_version: to }),
    ...(all
      ? { all_configurations: {} }
      : {
          selector: {
            ...(application && { application: { name: application } }),
            ...(prefix && { name_prefix: prefix }),
          },
        }),
    valid_only: validOnly,
  };
}
