/** The address of the page. It stands after a #, so that no proxy changes the names in it. */
import { useMemo, useSyncExternalStore } from "react";

export type Address = {
  /** The decoded parts of the path. */
  segments: readonly string[];
  path: string;
  parameters: URLSearchParams;
};

export type Parameters = Readonly<Record<string, string | undefined>>;

export function useAddress(): Address {
  const hash = useSyncExternalStore(subscribe, currentHash);
  return useMemo(() => parseAddress(hash), [hash]);
}

export function parseAddress(hash: string): Address {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  return {
    path: `/${path}`,
    segments: path.split("/").filter(Boolean).map(decoded),
    parameters: new URLSearchParams(query),
  };
}

/** Show another screen. `replace`: the back button skips the present one. */
export function go(href: string, { replace = false } = {}): void {
  if (!replace) {
    location.hash = href;
    return;
  }
  history.replaceState(null, "", href);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Return a function that changes parameters of the present address; "" removes one. */
export function useParameters(): [
  URLSearchParams,
  (changes: Parameters, options?: { replace: boolean }) => void,
] {
  const { path, parameters } = useAddress();
  return [
    parameters,
    (changes, options = { replace: true }) => {
      // As they are now: two changes can come before the screen is drawn again.
      const merged = { ...Object.fromEntries(parseAddress(location.hash).parameters), ...changes };
      go(link(path, merged), options);
    },
  ];
}

/** Return the address of a screen, for `href`. */
export function link(path: string, parameters: Parameters = {}): string {
  const set = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const query = new URLSearchParams(set).toString();
  return `#${path}${query ? `?${query}` : ""}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function currentHash(): string {
  return location.hash;
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("hashchange", changed);
  window.addEventListener("popstate", changed);
  return () => {
    window.removeEventListener("hashchange", changed);
    window.removeEventListener("popstate", changed);
  };
}
