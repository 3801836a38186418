import type { Model } from "../api/client";
import type { Session } from "../session/Session";

export type Selector = Model["ConfigurationSelector"];

/** The most that a watch takes. */
export const MOST_SELECTORS = 100;

/** Return what a list selects: the application in the address, or all that the caller may read. */
export function selectorsFor(session: Session, parameters: URLSearchParams): Selector[] {
  const prefix = parameters.get("name_prefix");
  const names = { ...(prefix && { name_prefix: prefix }) };
  const application = parameters.get("application");
  if (application) return [{ application: { name: application }, ...names }];
  if (session.may("ROLE_VIEWER")) return [names];
  return (session.caller.application_roles ?? []).map((one) => ({
    application: { id: one.application_id ?? "" },
    ...names,
  }));
}
