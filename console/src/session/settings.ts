/** Settings that the service gives to its console. */
import { base } from "../api/client";
import { ApiError } from "../api/errors";

export type Settings = {
  /** The version of the service. */
  version: string;
  /** The accepted ways of authentication: none, oidc, mtls. */
  authentication: ("none" | "oidc" | "mtls")[];
  issuer: string;
  client_id: string;
  audience: string;
  scope: string;
};

/** Throws ApiError. */
export async function readSettings(): Promise<Settings> {
  let answer: Response;
  try {
    answer = await fetch(`${base}/console.json`, { cache: "no-store" });
  } catch {
    throw new ApiError("the service does not respond", 0, "", {}, [], undefined);
  }
  if (!answer.ok)
    throw new ApiError(`console.json: status ${answer.status}`, answer.status, "", {}, [], undefined);
  return (await answer.json()) as Settings;
}
