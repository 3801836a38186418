/** The names of the roles, from the least. */
export const ROLES = [
  ["ROLE_VIEWER", "viewer", "reads and watches"],
  ["ROLE_EDITOR", "editor", "also writes configurations"],
  ["ROLE_ADMIN", "admin", "also changes the application and binds roles"],
] as const;

export type RoleName = (typeof ROLES)[number][0];

export function roleName(role: string | undefined): string {
  return ROLES.find(([name]) => name === role)?.[1] ?? "none";
}
