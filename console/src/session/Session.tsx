/** Who uses the console: settings of the service, sign-in, and the caller with its roles. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useState } from "react";
import { api, type Model, read } from "../api/client";
import { Busy, ErrorNotice } from "../parts/notices";
import {
  explained,
  finishSignIn,
  isReturning,
  leaveForSignIn,
  passOn,
  refreshed,
  signInBeside,
  type Tokens,
} from "./provider";
import { SignInPage } from "./SignInPage";
import { readSettings, type Settings } from "./settings";
import { currentRefreshToken, currentToken, expiry, forgetToken, holdToken, whenRefused } from "./token";

export type Caller = Model["GetCallerResponse"];
type Role = "ROLE_VIEWER" | "ROLE_EDITOR" | "ROLE_ADMIN";

export type Session = {
  settings: Settings;
  caller: Caller;
  /** Whether the caller has a role for an application; without one, for all applications. */
  may: (role: Role, application?: string) => boolean;
  /** Whether the service refuses the token, or it expires soon. What was typed is still here. */
  ending: boolean;
  renew: (signal: AbortSignal) => Promise<void>;
  signOut: () => void;
};

const RANK: Readonly<Record<string, number>> = { ROLE_VIEWER: 1, ROLE_EDITOR: 2, ROLE_ADMIN: 3 };
const REFRESH_BEFORE_MILLISECONDS = 60_000;
const CHECK_MILLISECONDS = 10_000;
const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("there is no session");
  return session;
}

/** Show its children once the service is reached and the caller is known. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const settings = useQuery({
    queryKey: ["settings"],
    queryFn: readSettings,
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (settings.isError) return <ErrorNotice error={settings.error} retry={() => void settings.refetch()} />;
  if (!settings.data) return <Busy label="Reaching the service" />;
  return <WithSettings settings={settings.data}>{children}</WithSettings>;
}

function WithSettings({ settings, children }: { settings: Settings; children: ReactNode }) {
  const queries = useQueryClient();
  const needsToken = !settings.authentication.includes("none") && settings.authentication.includes("oidc");
  const [signedIn, setSignedIn] = useState(!needsToken);
  const [problem, setProblem] = useState("");
  const [leaving, setLeaving] = useState(needsToken);

  const hold = useCallback((tokens: Tokens) => {
    holdToken(tokens.token, tokens.expires, tokens.refresh);
    setSignedIn(true);
  }, []);

  useEffect(() => {
    if (!needsToken || currentToken()) return;
    start(settings)
      .then((tokens) => tokens && hold(tokens))
      .catch((error: unknown) => setProblem(explained(error)))
      .finally(() => setLeaving(false));
  }, [needsToken, settings, hold]);

  if (leaving && !signedIn) return <Busy label="Signing in" />;
  if (!signedIn) return <SignInPage settings={settings} problem={problem} onTokens={hold} />;
  return (
    <WithCaller
      settings={settings}
      signOut={() => {
        forgetToken();
        // What the next caller may not see.
        queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "settings" });
        setProblem("");
        setSignedIn(false);
      }}
    >
      {children}
    </WithCaller>
  );
}

/** Finish a sign-in, or begin one; a page that was opened for nothing else passes its answer on. */
async function start(settings: Settings): Promise<Tokens | undefined> {
  if (isReturning()) {
    if (passOn()) return undefined;
    try {
      const tokens = await finishSignIn(settings);
      history.replaceState(null, "", `${location.pathname}${tokens.hash}`);
      return tokens;
    } catch (error) {
      history.replaceState(null, "", location.pathname);
      throw error;
    }
  }
  if (settings.client_id) await leaveForSignIn(settings);
  return undefined;
}

function WithCaller({
  settings,
  signOut,
  children,
}: {
  settings: Settings;
  signOut: () => void;
  children: ReactNode;
}) {
  const queries = useQueryClient();
  const [ending, setEnding] = useState(false);
  const caller = useQuery({ queryKey: ["caller"], queryFn: () => read(api.GET("/api/v1/caller")) });

  const use = useCallback(
    (tokens: Tokens) => {
      holdToken(tokens.token, tokens.expires, tokens.refresh);
      setEnding(false);
      void queries.invalidateQueries();
    },
    [queries],
  );

  useEffect(() => {
    whenRefused(() => setEnding(true));
    const timer = setInterval(() => void keepFresh(settings, use, () => setEnding(true)), CHECK_MILLISECONDS);
    return () => clearInterval(timer);
  }, [settings, use]);

  if (caller.isError && !caller.data) {
    return <ErrorNotice error={caller.error} retry={() => void caller.refetch()} leave={signOut} />;
  }
  if (!caller.data) return <Busy label="Asking who you are" />;
  const session: Session = {
    settings,
    caller: caller.data,
    may: (role, application) => hasRole(caller.data, role, application),
    ending,
    renew: async (signal) => use(await signInBeside(settings, signal)),
    signOut,
  };
  return <SessionContext value={session}>{children}</SessionContext>;
}

/** Get a new token shortly before the old one expires, if the provider gave a refresh token. */
async function keepFresh(
  settings: Settings,
  use: (tokens: Tokens) => void,
  giveUp: () => void,
): Promise<void> {
  const left = (expiry() ?? Number.POSITIVE_INFINITY) - Date.now();
  if (left > REFRESH_BEFORE_MILLISECONDS) return;
  const refresh = currentRefreshToken();
  try {
    if (!refresh) throw new Error("there is no refresh token");
    use(await refreshed(settings, refresh));
  } catch {
    giveUp();
  }
}

/** Whether a caller has a role for an application; without one, for all applications. */
export function hasRole(caller: Caller, role: Role, application?: string): boolean {
  const needed = RANK[role] ?? 0;
  const own = caller.application_roles?.find((one) => one.application === application)?.role;
  return (RANK[caller.role ?? ""] ?? 0) >= needed || (RANK[own ?? ""] ?? 0) >= needed;
}
