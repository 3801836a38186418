/** What the screens of a history read. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { ApiError } from "../api/errors";
import type { Configuration } from "../configuration/queries";

export type Version = Model["ConfigurationVersion"];

const PAGE_SIZE = 50;

export function useVersions(application: string, name: string) {
  return useInfiniteQuery({
    queryKey: ["versions", application, name],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListConfigurationVersionsResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam, signal }) =>
      versionsPage(application, name, "CONFIGURATION_VIEW_BASIC", PAGE_SIZE, pageParam, signal),
  });
}

export function versionsPage(
  application: string,
  name: string,
  view: Model["ConfigurationView"],
  size: number,
  token: string,
  signal: AbortSignal,
): Promise<Model["ListConfigurationVersionsResponse"]> {
  const query = { application, name, view, page_size: size, ...(token && { page_token: token }) };
  return read(api.GET("/api/v1/configurations:versions", { params: { query }, signal }));
}

/** Two versions. Null: it was deleted then, or did not exist yet. */
export type Pair = {
  from: string;
  to: string;
  before: Configuration | null;
  after: Configuration | null;
};

/** Read two versions with their contents; an empty `from` is the version before. */
export function usePair(application: string, name: string, from: string, to: string) {
  return useQuery({
    queryKey: ["pair", application, name, from, to],
    enabled: to !== "",
    queryFn: async ({ signal }): Promise<Pair> => {
      const query = { application, name, to_version: to, ...(from && { from_version: from }) };
      // This names the version before, and is an error for one that never was.
      const facts = await read(api.GET("/api/v1/configurations:diff", { params: { query }, signal }));
      const first = facts.from_configuration?.version ?? "0";
      const [before, after] = await Promise.all([
        Number(first) ? versionOf(application, name, first, signal) : null,
        versionOf(application, name, to, signal),
      ]);
      return { from: first, to, before, after };
    },
  });
}

export function useVersion(application: string, name: string, version: string) {
  return useQuery({
    queryKey: ["version", application, name, version],
    enabled: version !== "",
    queryFn: ({ signal }) => versionOf(application, name, version, signal),
  });
}

/** Read a version with its content; null if it is a deletion. */
async function versionOf(application: string, name: string, version: string, signal: AbortSignal) {
  const query = { application, name, version };
  try {
    return await read(api.GET("/api/v1/configurations:byName", { params: { query }, signal }));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
