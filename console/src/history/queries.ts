import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { ApiError } from "../api/errors";

export type Version = Model["ConfigurationVersion"];

const PAGE_SIZE = 50;

export function useVersions(application: string, name: string) {
  return useInfiniteQuery({
    queryKey: ["versions", application, name],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListConfigurationVersionsResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam }) =>
      versionsPage(application, name, "CONFIGURATION_VIEW_BASIC", PAGE_SIZE, pageParam),
  });
}

export function versionsPage(
  application: string,
  name: string,
  view: Model["ConfigurationView"],
  size: number,
  token: string,
): Promise<Model["ListConfigurationVersionsResponse"]> {
  const query = { application, name, view, page_size: size, ...(token && { page_token: token }) };
  return read(api.GET("/api/v1/configurations:versions", { params: { query } }));
}

export type Compared = {
  /** Empty: the configuration did not exist. */
  from: string;
  to: string;
  /** Null: not there, as before it was created or after it was deleted. */
  before: unknown;
  after: unknown;
  /** One line for each difference. */
  lines: string[];
};

/** Read two versions and what lies between them. For an empty `from`, the version before. */
export function useDifference(application: string, name: string, from: string, to: string) {
  return useQuery({
    queryKey: ["difference", application, name, from, to],
    enabled: to !== "",
    queryFn: () => compared(application, name, from, to),
  });
}

async function compared(application: string, name: string, from: string, to: string): Promise<Compared> {
  const query = { application, name, to_version: to, ...(from && { from_version: from }) };
  const found = await read(api.GET("/api/v1/configurations:diff", { params: { query } }));
  const id = found.to_configuration?.id ?? "";
  const versions = [found.from_configuration?.version, found.to_configuration?.version].map(
    (one) => one ?? "",
  );
  const [before, after] = await Promise.all(versions.map((version) => contentOf(id, version)));
  const lines = (found.text ?? "").split("\n").filter(Boolean);
  return { from: versions[0] ?? "", to: versions[1] ?? "", before, after, lines };
}

async function contentOf(id: string, version: string): Promise<unknown> {
  if (!Number(version)) return null;
  try {
    const query = { version };
    const one = await read(api.GET("/api/v1/configurations/{id}", { params: { path: { id }, query } }));
    return one.config ?? null;
  } catch (error) {
    // The version of a deletion has no content.
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
