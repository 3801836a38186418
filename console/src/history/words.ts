const TYPES: Readonly<Record<string, string>> = {
  CHANGE_TYPE_CREATED: "created",
  CHANGE_TYPE_UPDATED: "changed",
  CHANGE_TYPE_DELETED: "deleted",
};

export function typeName(type: string | undefined): string {
  return TYPES[type ?? ""] ?? "";
}
