/** What the screen of the past reads. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Model, read } from "../api/client";
import { ApiError } from "../api/errors";
import type { Configuration } from "../configuration/queries";
import { type Moment, momentOf } from "./moments";

/** All configurations of an application at one revision, without their contents. */
export type Snapshot = {
  rows: readonly Configuration[];
  revision: string;
  /** Whether there was such an application. */
  existed: boolean;
};

const PAGE_SIZE = 1_000;
const MOMENTS = 20;

/** Read an application as of a moment, page by page; `count`: the configurations read so far. */
export function useSnapshot(application: string, text: string, isAsked: boolean) {
  const [count, setCount] = useState(0);
  const snapshot = useQuery({
    queryKey: ["past", application, text],
    enabled: isAsked,
    queryFn: ({ signal }) => snapshotAt(application, momentOf(text) ?? {}, setCount, signal),
  });
  return { snapshot, count };
}

/** Read the application that has a name now, or else the one that had it then. */
async function snapshotAt(
  name: string,
  moment: Moment,
  onRead: (count: number) => void,
  signal: AbortSignal,
): Promise<Snapshot> {
  const id = await idOf(name, signal);
  for (const chosen of [...(id ? [{ "application.id": id }] : []), { application: name }]) {
    try {
      return await listed(chosen, moment, onRead, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
  return { rows: [], revision: "", existed: false };
}

async function idOf(name: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const found = api.GET("/api/v1/applications/{name}", { params: { path: { name } }, signal });
    return (await read(found)).id;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function listed(
  chosen: { "application.id"?: string; application?: string },
  moment: Moment,
  onRead: (count: number) => void,
  signal: AbortSignal,
): Promise<Snapshot> {
  const rows: Configuration[] = [];
  let page: Model["ListConfigurationsResponse"] = {};
  do {
    const query = {
      ...chosen,
      ...moment,
      view: "CONFIGURATION_VIEW_BASIC" as const,
      page_size: PAGE_SIZE,
      ...(page.next_page_token && { page_token: page.next_page_token }),
    };
    page = await read(api.GET("/api/v1/configurations", { params: { query }, signal }));
    rows.push(...(page.configurations ?? []));
    onRead(rows.length);
  } while (page.next_page_token);
  return { rows, revision: page.revision ?? "", existed: true };
}

/** A configuration at a revision; null: none is to be read. */
export type Place = { id: string; revision: string } | null;

/** Read configurations with their contents, as of the revisions of their snapshots. */
export function useContents(places: readonly Place[]) {
  return useQuery({
    queryKey: ["past-contents", places],
    queryFn: ({ signal }) =>
      Promise.all(
        places.map((place) => {
          if (!place) return null;
          const params = { path: { id: place.id }, query: { as_of_revision: place.revision } };
          return read(api.GET("/api/v1/configurations/{id}", { params, signal }));
        }),
      ),
  });
}

/** Read the changes of an application, newest first: the moments to choose from. */
export function useMoments(application: string) {
  return useInfiniteQuery({
    queryKey: ["moments", application],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListChangesResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam, signal }) => {
      const query = { application, page_size: MOMENTS, ...(pageParam && { page_token: pageParam }) };
      return read(api.GET("/api/v1/changes", { params: { query }, signal }));
    },
  });
}

function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
