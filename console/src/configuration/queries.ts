/** What the screens of a configuration read. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { api, type Model, read } from "../api/client";
import { useWatch } from "../api/useWatch";

export type Configuration = Model["Configuration"];

export function useConfiguration(application: string, name: string, isAsked = true) {
  return useQuery({
    enabled: isAsked,
    queryKey: ["configuration", application, name],
    queryFn: () =>
      read(api.GET("/api/v1/configurations:byName", { params: { query: { application, name } } })),
  });
}

/** Read a configuration again whenever it changes. */
export function useLiveConfiguration(application: string, name: string) {
  const queries = useQueryClient();
  const configuration = useConfiguration(application, name);
  const watched = useWatch({
    selectors: [{ application: { name: application }, names: [name] }],
    view: "CONFIGURATION_VIEW_BASIC",
  });
  useEffect(() => {
    if (watched.revision) void queries.invalidateQueries({ queryKey: ["configuration", application, name] });
  }, [queries, application, name, watched.revision]);
  return { configuration, watched };
}

/** Read who made the newest version, and why. */
export function useLastChange(application: string, name: string, version: string | undefined) {
  return useQuery({
    queryKey: ["last-change", application, name, version],
    queryFn: async () => {
      const query = { application, name, page_size: 1 };
      const page = await read(api.GET("/api/v1/configurations:versions", { params: { query } }));
      return page.versions?.[0] ?? null;
    },
  });
}

/** Read a version of a schema; the latest one for an empty version. Null without a schema. */
export function useSchemaDocument(schema: string, version: string) {
  return useQuery({
    queryKey: ["schema-document", schema, version],
    queryFn: () => (schema ? schemaDocument(schema, version) : null),
  });
}

async function schemaDocument(name: string, version: string): Promise<Model["SchemaVersion"]> {
  if (Number(version)) {
    return read(
      api.GET("/api/v1/schemas/{name}/versions/{version}", { params: { path: { name, version } } }),
    );
  }
  return read(api.GET("/api/v1/schemas/{name}:latest", { params: { path: { name } } }));
}

/** Read a configuration that was deleted; null if there was none. */
export function useDeleted(application: string, name: string, isAsked: boolean) {
  return useQuery({
    queryKey: ["deleted", application, name],
    enabled: isAsked,
    queryFn: async () => {
      const query = { application, names: [name], show_deleted: true, page_size: 1000 };
      const page = await read(api.GET("/api/v1/configurations", { params: { query } }));
      // Several configurations can have had the name, one after the other.
      const deleted = (page.configurations ?? []).filter((one) => one.delete_time);
      return deleted.sort((a, b) => Number(b.revision) - Number(a.revision))[0] ?? null;
    },
  });
}
