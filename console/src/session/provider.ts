/** Sign-in at an OpenID provider: the authorization code flow with PKCE (RFC 7636). */
import * as oauth from "oauth4webapi";
import { base } from "../api/client";
import type { Settings } from "./settings";

/** What has to survive the way to the provider and back. It is of no use without the code, which comes once. */
type Pending = { state: string; nonce: string; verifier: string; hash: string; popup: boolean };
export type Tokens = { token: string; expires: number; refresh: string | undefined; hash: string };

const KEY = "configsvc.sign-in";
const CHANNEL = "configsvc.sign-in";
const options = (issuer: string) => ({ [oauth.allowInsecureRequests]: issuer.startsWith("http:") });

/** Go to the provider; it comes back to this page. */
export async function leaveForSignIn(settings: Settings): Promise<void> {
  location.assign(await authorizationUrl(settings, sessionStorage, false));
}

/** Sign in again in a window of its own, so that this page keeps what was typed. Rejects when the signal aborts. */
export async function signInBeside(settings: Settings, signal: AbortSignal): Promise<Tokens> {
  // Opened before anything is awaited: later, browsers take it for a pop-up that nobody asked for.
  const opened = window.open("", "configsvc-sign-in", "width=520,height=680");
  if (!opened) throw new Error("the browser blocked the window: allow pop-ups for this page");
  const kept = new Map<string, string>();
  const storage = { setItem: (key: string, value: string) => void kept.set(key, value) };
  opened.location.href = await authorizationUrl(settings, storage, true);
  const pending = JSON.parse(kept.get(KEY) ?? "{}") as Pending;
  return exchanged(settings, new URL(await answerOfWindow(signal)), pending);
}

/** Whether this page is what the provider came back to. */
export function isReturning(): boolean {
  const parameters = new URLSearchParams(location.search);
  return (parameters.has("state") && parameters.has("code")) || parameters.has("error");
}

/** Pass the answer to the page that opened this window. Return false if this window was not opened for a sign-in. */
export function passOn(): boolean {
  if (!new URLSearchParams(location.search).get("state")?.startsWith("window.")) return false;
  new BroadcastChannel(CHANNEL).postMessage(location.href);
  window.close();
  return true;
}

/** Finish the sign-in that `leaveForSignIn` began. Throws an Error that says why it failed. */
export async function finishSignIn(settings: Settings): Promise<Tokens> {
  const stored = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  if (!stored)
    throw new Error("this sign-in was begun in another tab, or was finished before: sign in again");
  return exchanged(settings, new URL(location.href), JSON.parse(stored) as Pending);
}

/** Return why a sign-in failed, in the words of the provider if it has said something. */
export function explained(error: unknown): string {
  if (error instanceof oauth.ResponseBodyError) {
    return [error.error, error.error_description].filter(Boolean).join(": ");
  }
  if (error instanceof TypeError) return "the provider does not respond, or does not let this page call it";
  return error instanceof Error ? error.message : String(error);
}

/** Return a new token for a refresh token. */
export async function refreshed(settings: Settings, refreshToken: string): Promise<Tokens> {
  const [server, client] = await discovered(settings);
  const answer = await oauth.refreshTokenGrantRequest(
    server,
    client,
    oauth.None(),
    refreshToken,
    options(settings.issuer),
  );
  const tokens = await oauth.processRefreshTokenResponse(server, client, answer);
  return { ...suitable(settings, tokens), refresh: tokens.refresh_token ?? refreshToken, hash: "" };
}

async function discovered(settings: Settings): Promise<[oauth.AuthorizationServer, oauth.Client]> {
  const issuer = new URL(settings.issuer);
  const answer = await oauth.discoveryRequest(issuer, options(settings.issuer));
  const server = await oauth.processDiscoveryResponse(issuer, answer);
  return [server, { client_id: settings.client_id }];
}

async function authorizationUrl(
  settings: Settings,
  storage: Pick<Storage, "setItem">,
  popup: boolean,
): Promise<string> {
  const [server] = await discovered(settings);
  if (!server.authorization_endpoint) throw new Error(`${settings.issuer} has no authorization endpoint`);
  const verifier = oauth.generateRandomCodeVerifier();
  const state = (popup ? "window." : "") + oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  storage.setItem(
    KEY,
    JSON.stringify({ state, nonce, verifier, hash: location.hash, popup } satisfies Pending),
  );
  const url = new URL(server.authorization_endpoint);
  const parameters = {
    client_id: settings.client_id,
    redirect_uri: `${base}/`,
    response_type: "code",
    scope: settings.scope,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

async function exchanged(settings: Settings, address: URL, pending: Pending): Promise<Tokens> {
  // Some providers leave the state out of errors.
  if (address.searchParams.has("error")) throw new Error(refusal(address.searchParams));
  const [server, client] = await discovered(settings);
  const parameters = oauth.validateAuthResponse(server, client, address, pending.state);
  const answer = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    parameters,
    `${base}/`,
    pending.verifier,
    options(settings.issuer),
  );
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, {
    expectedNonce: pending.nonce,
  });
  return { ...suitable(settings, tokens), refresh: tokens.refresh_token, hash: pending.hash };
}

function refusal(parameters: URLSearchParams): string {
  return [parameters.get("error"), parameters.get("error_description")].filter(Boolean).join(": ");
}

/** Return the token of an answer that is meant for the service: providers put its audience into one or the other. */
function suitable(
  settings: Settings,
  tokens: oauth.TokenEndpointResponse,
): { token: string; expires: number } {
  for (const token of [tokens.id_token, tokens.access_token]) {
    const claims = token && claimsOf(token);
    if (!claims) continue;
    const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
    if (audiences.includes(settings.audience)) return { token, expires: (claims.exp ?? Number.NaN) * 1000 };
  }
  throw new Error(
    `the provider gives no token for the audience ${settings.audience}: set it for the client ${settings.client_id}, or set CONFIGSVC_OIDC_AUDIENCE to what its tokens have`,
  );
}

/** Return the claims of a JSON Web Token; undefined if it is none. The service verifies it, not this page. */
export function claimsOf(token: string): { aud?: string | string[]; exp?: number } | undefined {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (one) =>
      one.charCodeAt(0),
    );
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

// A provider may cut the tie between both windows, so that this page cannot see the other one close.
function answerOfWindow(signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const channel = new BroadcastChannel(CHANNEL);
    signal.addEventListener("abort", () => {
      channel.close();
      reject(new Error("the sign-in was given up"));
    });
    channel.onmessage = (message) => {
      channel.close();
      resolve(String(message.data));
    };
  });
}
