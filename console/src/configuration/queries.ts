/** What the screens of a configuration read. */
import { useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";

export type Configuration = Model["Configuration"];

export function useConfiguration(application: string, name: string) {
  return useQuery({
    queryKey: ["configuration", application, name],
    queryFn: () =>
      read(api.GET("/api/v1/configurations:byName", { params: { query: { application, name } } })),
  });
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
      const query = { application, names: [name], show_deleted: true };
      const page = await read(api.GET("/api/v1/configurations", { params: { query } }));
      return page.configurations?.[0] ?? null;
    },
  });
}
