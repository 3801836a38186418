/** What the screens of schemas read. */
import { keepPreviousData, type QueryClient, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { indented, memberOf } from "../parts/exact";

export type Schema = Model["Schema"];
/** A version with its document as text, as numbers of documents can have more digits than JavaScript keeps. */
export type SchemaVersion = Omit<Model["SchemaVersion"], "document"> & { text: string };

const PAGE_SIZE = 100;

export function useSchemas(prefix: string) {
  return useInfiniteQuery({
    queryKey: ["schemas", prefix],
    placeholderData: keepPreviousData,
    initialPageParam: "",
    getNextPageParam: (page: Model["ListSchemasResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam, signal }) => {
      const query = {
        page_size: PAGE_SIZE,
        ...(prefix && { name_prefix: prefix }),
        ...(pageParam && { page_token: pageParam }),
      };
      return read(api.GET("/api/v1/schemas", { params: { query }, signal }));
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
      const view = "SCHEMA_VIEW_BASIC" as const;
      const query = { view, page_size: PAGE_SIZE, ...(pageParam && { page_token: pageParam }) };
      return read(api.GET("/api/v1/schemas/{name}/versions", { params: { path: { name }, query } }));
    },
  });
}

/** Read a version; nothing for an empty number. */
export function useSchemaVersion(name: string, version: string) {
  return useQuery({
    queryKey: ["schema-version", name, version],
    enabled: version !== "",
    queryFn: async () => {
      const path = { name, version };
      const options = { params: { path }, parseAs: "text" } as const;
      return versionOf(await read(api.GET("/api/v1/schemas/{name}/versions/{version}", options)));
    },
  });
}

/** Read again what a change of a schema changes. Its checks, which are dear, are not repeated. */
export async function readAgain(queries: QueryClient, name: string): Promise<void> {
  const keys = [["schemas"], ["schema", name], ["schema-versions", name]];
  await Promise.all(keys.map((queryKey) => queries.invalidateQueries({ queryKey })));
}

export function versionOf(answer: string): SchemaVersion {
  const { document: _, ...rest } = JSON.parse(answer) as Model["SchemaVersion"];
  return { ...rest, text: indented(memberOf(answer, "document") ?? "{}") };
}
