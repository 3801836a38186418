import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";

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

/** Read two versions and what lies between them; the version before, for an empty one. */
export function useDifference(application: string, name: string, from: string, to: string) {
  return useQuery({
    queryKey: ["difference", application, name, from, to],
    enabled: to !== "",
    queryFn: () => {
      const query = { application, name, to_version: to, ...(from && { from_version: from }) };
      return read(api.GET("/api/v1/configurations:diff", { params: { query } }));
    },
  });
}
