import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";

const PAGE_SIZE = 100;

export function useSchemas(prefix: string) {
  return useInfiniteQuery({
    queryKey: ["schemas", prefix],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListSchemasResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam }) => {
      const query = {
        page_size: PAGE_SIZE,
        ...(prefix && { name_prefix: prefix }),
        ...(pageParam && { page_token: pageParam }),
      };
      return read(api.GET("/api/v1/schemas", { params: { query } }));
    },
  });
}

export function useSchema(name: string) {
  return useQuery({
    queryKey: ["schema", name],
    queryFn: () => read(api.GET("/api/v1/schemas/{name}", { params: { path: { name } } })),
  });
}

export function useSchemaVersions(name: string) {
  return useInfiniteQuery({
    queryKey: ["schema-versions", name],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListSchemaVersionsResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam }) => {
      const query = {
        view: "SCHEMA_VIEW_BASIC" as const,
        page_size: PAGE_SIZE,
        ...(pageParam && { page_token: pageParam }),
      };
      return read(api.GET("/api/v1/schemas/{name}/versions", { params: { path: { name }, query } }));
    },
  });
}

export function useSchemaVersion(name: string, version: string) {
  return useQuery({
    queryKey: ["schema-version", name, version],
    enabled: version !== "",
    queryFn: () =>
      read(api.GET("/api/v1/schemas/{name}/versions/{version}", { params: { path: { name, version } } })),
  });
}
