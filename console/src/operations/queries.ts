import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";

export type Operation = Model["Operation"];

const PAGE_SIZE = 50;
const REFRESH_MILLISECONDS = 1_000;

export function useOperations(filter: string) {
  return useInfiniteQuery({
    queryKey: ["operations", filter],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListOperationsResponse"]) => page.next_page_token || undefined,
    refetchInterval: (query) =>
      query.state.data?.pages.some((page) => page.operations?.some((one) => !one.done))
        ? REFRESH_MILLISECONDS
        : false,
    queryFn: ({ pageParam }) => {
      const query = {
        page_size: PAGE_SIZE,
        ...(filter && { filter }),
        ...(pageParam && { page_token: pageParam }),
      };
      return read(api.GET("/api/v1/operations", { params: { query } }));
    },
  });
}

/** Read an operation, again and again until it is done. */
export function useOperation(operation: string) {
  return useQuery({
    queryKey: ["operation", operation],
    refetchInterval: (query) => (query.state.data?.done ? false : REFRESH_MILLISECONDS),
    queryFn: () => read(api.GET("/api/v1/operations/{operation}", { params: { path: { operation } } })),
  });
}

export function useItems(operation: string, failedOnly: boolean, done: boolean) {
  return useInfiniteQuery({
    // The items of a running operation are not whole.
    queryKey: ["operation-items", operation, failedOnly, done],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListOperationItemsResponse"]) => page.next_page_token || undefined,
    queryFn: ({ pageParam }) => {
      const query = {
        failed_only: failedOnly,
        page_size: PAGE_SIZE,
        ...(pageParam && { page_token: pageParam }),
      };
      return read(
        api.GET("/api/v1/operations/{operation}/items", { params: { path: { operation }, query } }),
      );
    },
  });
}
