/** The token of this page. It is in memory alone: a reload forgets it, and no script of another page can read it. */
type Held = { token: string; expires: number; refresh: string | undefined };

let held: Held | undefined;
let onRefused: () => void = () => undefined;

export function currentToken(): string | undefined {
  return held?.token;
}

export function currentRefreshToken(): string | undefined {
  return held?.refresh;
}

/** The time in milliseconds at which the token expires; undefined without one, or if nobody knows. */
export function expiry(): number | undefined {
  return held && Number.isFinite(held.expires) ? held.expires : undefined;
}

export function holdToken(token: string, expires: number, refresh?: string): void {
  held = { token, expires, refresh };
}

export function forgetToken(): void {
  held = undefined;
}

/** Call a function whenever the service refuses the token. */
export function whenRefused(callback: () => void): void {
  onRefused = callback;
}

export function noteRefusedToken(): void {
  onRefused();
}
