import { to } from "../app/routes";
import { Time } from "../parts/Time";
import type { Caller } from "../session/Session";
import { roleName } from "./roles";

const WAYS: Readonly<Record<string, string>> = {
  AUTHENTICATION_NONE: "not at all: the service asks nobody",
  AUTHENTICATION_OIDC: "by a token of the OpenID provider",
  AUTHENTICATION_MTLS: "by a client certificate",
};

/** The caller as the service knows it. */
export function You({ caller, signOut }: { caller: Caller; signOut: (() => void) | undefined }) {
  return (
    <section aria-labelledby="you">
      <h2 id="you">You</h2>
      <dl className="facts">
        <dt>Principal</dt>
        <dd>
          <code>{caller.principal}</code>
        </dd>
        <dt>Authenticated</dt>
        <dd>{WAYS[caller.authentication ?? ""] ?? caller.authentication}</dd>
        {caller.groups && caller.groups.length > 0 && (
          <>
            <dt>Groups</dt>
            <dd>{caller.groups.join(", ")}</dd>
          </>
        )}
        {caller.expire_time && (
          <>
            <dt>Sign-in ends</dt>
            <dd>
              <Time value={caller.expire_time} />
            </dd>
          </>
        )}
        <dt>Role for all applications</dt>
        <dd>{roleName(caller.role)}</dd>
        <dt>Further roles</dt>
        <dd>
          {caller.application_roles?.length ? (
            <ul className="plain">
              {caller.application_roles.map((one) => (
                <li key={one.application_id}>
                  {roleName(one.role)} of{" "}
                  <a href={to.application(one.application ?? "")}>{one.application}</a>
                </li>
              ))}
              {caller.more_application_roles && <li>and more</li>}
            </ul>
          ) : (
            "none"
          )}
        </dd>
      </dl>
      {signOut && (
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      )}
    </section>
  );
}
