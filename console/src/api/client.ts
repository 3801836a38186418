/** Calls of /api/v1, typed by the OpenAPI document. */
import createClient, { type Middleware } from "openapi-fetch";
import { currentToken, noteRefusedToken } from "../session/token";
import { type ApiError, networkError, toApiError } from "./errors";
import type { components, paths } from "./schema";

export type Model = components["schemas"];

/** The folder of this page: a proxy may serve the console below a path. */
export const base = new URL(".", document.baseURI).href.replace(/\/$/, "");

const withToken: Middleware = {
  onRequest({ request }) {
    const token = currentToken();
    if (token) request.headers.set("authorization", `Bearer ${token}`);
    return request;
  },
  onError({ error }) {
    return networkError(error);
  },
};

export const api = createClient<paths>({ baseUrl: base });
api.use(withToken);

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** Return the data of an answer. Throws ApiError. */
export async function read<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) return data as T;
  throw failed(response, error);
}

/** Return the error of an answer that is not OK. */
export function failed(response: Response, body: unknown): ApiError {
  if (response.status === 401) noteRefusedToken();
  return toApiError(response.status, body, response.headers.get("retry-after"));
}

/** Return all pages of a list, up to a limit of items. Throws ApiError. */
export async function readAll<T>(
  page: (token: string | undefined) => Promise<{ items: readonly T[]; next: string | undefined }>,
  limit = Number.POSITIVE_INFINITY,
): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = [];
  let token: string | undefined;
  do {
    const one = await page(token);
    items.push(...one.items);
    token = one.next || undefined;
  } while (token && items.length < limit);
  return { items, more: Boolean(token) };
}
