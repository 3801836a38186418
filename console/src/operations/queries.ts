/** What the screens of operations read: again each second, as long as one runs. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { type Page, pageOf } from "./items";

export type Operation = Model["Operation"];

const AGAIN_MILLISECONDS = 1000;
const OPERATIONS = 200;
const ITEMS = 100;

export function useOperations() {
  return useInfiniteQuery({
    queryKey: ["operations"],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListOperationsResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam }) => {
      const query = { page_size: OPERATIONS, ...(pageParam && { page_token: pageParam }) };
      return read(api.GET("/api/v1/operations", { params: { query } }));
    },
    refetchInterval: (query) =>
      query.state.data?.pages.some((page) => page.operations?.some((one) => !one.done))
        ? AGAIN_MILLISECONDS
        : false,
  });
}

export function useOperation(operation: string) {
  return useQuery({
    queryKey: ["operation", operation],
    queryFn: () => read(api.GET("/api/v1/operations/{operation}", { params: { path: { operation } } })),
    refetchInterval: (query) => (query.state.data?.done ? false : AGAIN_MILLISECONDS),
  });
}

/** Read the items that are done; again as more are, as long as only the first page is shown. */
export function useItems(operation: string, failedOnly: boolean, isDone: boolean) {
  return useInfiniteQuery({
    queryKey: ["operation-items", operation, failedOnly, isDone],
    initialPageParam: "",
    getNextPageParam: (page: Page) => page.next || undefined,
    queryFn: async ({ pageParam }) => {
      const query = {
        page_size: ITEMS,
        ...(failedOnly && { failed_only: true }),
        ...(pageParam && { page_token: pageParam }),
      };
      const options = { params: { path: { operation }, query }, parseAs: "text" } as const;
      return pageOf(await read(api.GET("/api/v1/operations/{operation}/items", options)));
    },
    refetchInterval: (query) =>
      !isDone && (query.state.data?.pages.length ?? 0) < 2 ? AGAIN_MILLISECONDS : false,
  });
}

export function cancel(operation: string) {
  return read(
    api.POST("/api/v1/operations/{operation}:cancel", { params: { path: { operation } }, body: {} }),
  );
}

export function remove(operation: string) {
  return read(api.DELETE("/api/v1/operations/{operation}", { params: { path: { operation } } }));
}
