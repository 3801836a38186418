/** Who may do what, and who am I. */
import type { ScreenProps } from "../app/screens";
import { useSession } from "../session/Session";
import { Bindings } from "./Bindings";
import { You } from "./You";

export default function AccessScreen(_: ScreenProps) {
  const session = useSession();
  const binds =
    session.may("ROLE_ADMIN") || session.caller.application_roles?.some((one) => one.role === "ROLE_ADMIN");
  return (
    <>
      <header className="screen">
        <h1>Access</h1>
      </header>
      <You
        caller={session.caller}
        signOut={session.settings.authentication.includes("oidc") ? session.signOut : undefined}
      />
      {binds ? <Bindings /> : <p className="faint">Who else has a role is shown to admins.</p>}
    </>
  );
}
