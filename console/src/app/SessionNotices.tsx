import { useState } from "react";
import { explained } from "../session/provider";
import { useSession } from "../session/Session";

/** What everybody must know about the session: no authentication, or one that ends. */
export function SessionNotices() {
  const session = useSession();
  return (
    <>
      {session.settings.authentication.includes("none") && (
        <p className="notice danger" role="status">
          This service runs without authentication: whoever reaches it can read and change everything.
        </p>
      )}
      {session.ending && <Ending />}
    </>
  );
}

function Ending() {
  const session = useSession();
  const [waiting, setWaiting] = useState<AbortController>();
  const [problem, setProblem] = useState("");

  function renew() {
    const stop = new AbortController();
    setWaiting(stop);
    setProblem("");
    session
      .renew(stop.signal)
      .catch((error: unknown) => setProblem(explained(error)))
      .finally(() => setWaiting(undefined));
  }

  return (
    <p className="notice warning" role="alert">
      Your sign-in has ended or ends soon. What you typed stays here. {problem && `It failed: ${problem}. `}
      {session.settings.client_id && !waiting && (
        <button type="button" onClick={renew}>
          Sign in again
        </button>
      )}
      {waiting && (
        <button type="button" onClick={() => waiting.abort()}>
          Give up
        </button>
      )}{" "}
      <button type="button" onClick={session.signOut}>
        Sign out
      </button>
    </p>
  );
}
