import { type FormEvent, useId, useState } from "react";
import { claimsOf, explained, leaveForSignIn, type Tokens } from "./provider";
import type { Settings } from "./settings";

/** The page for callers without a token. */
export function SignInPage(props: {
  settings: Settings;
  problem: string;
  onTokens: (tokens: Tokens) => void;
}) {
  const { settings, problem, onTokens } = props;
  const [failure, setFailure] = useState(problem);
  const field = useId();

  function takeToken(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get("token")).trim();
    if (token)
      onTokens({ token, expires: (claimsOf(token)?.exp ?? Number.NaN) * 1000, refresh: undefined, hash: "" });
  }

  const leave = () => leaveForSignIn(settings).catch((error: unknown) => setFailure(explained(error)));
  return (
    <main className="sign-in">
      <h1>configsvc</h1>
      {failure && (
        <p className="notice error" role="alert">
          The sign-in failed: {failure}
        </p>
      )}
      {settings.client_id ? (
        <button type="button" className="primary" onClick={() => void leave()}>
          Sign in
        </button>
      ) : (
        <p>
          The service knows no client ID for this console, so it cannot lead you to the provider. Its operator
          can set <code>CONFIGSVC_CONSOLE_CLIENT_ID</code>.
        </p>
      )}
      <details open={!settings.client_id}>
        <summary>Use a token</summary>
        <form onSubmit={takeToken}>
          <label htmlFor={field}>
            Token of {settings.issuer || "the provider"}, kept until you leave the page
          </label>
          <textarea id={field} name="token" rows={5} required autoComplete="off" spellCheck={false} />
          <button type="submit">Use it</button>
        </form>
      </details>
    </main>
  );
}
