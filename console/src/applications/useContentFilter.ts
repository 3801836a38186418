import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, read, readAll } from "../api/client";
import { MOST_CONFIGURATIONS } from "../api/useWatch";

const PAGE_SIZE = 1000;
const BY_CONTENT = ["contains", "json_path"] as const;

export type ContentFilter = {
  /** The ids that have the content; undefined without such a filter. */
  ids: ReadonlySet<string> | undefined;
  isBusy: boolean;
  error: Error | null;
  again: () => void;
};

/** Ask the service which configurations have a content, again after each revision: a watch cannot filter by it. */
export function useContentFilter(parameters: URLSearchParams, revision: string): ContentFilter {
  const chosen = pick(parameters, ["application", "name_prefix", ...BY_CONTENT]);
  const isOn = BY_CONTENT.some((name) => chosen[name]);
  const found = useQuery({
    queryKey: ["content-filter", chosen, revision],
    enabled: isOn && revision !== "",
    placeholderData: keepPreviousData,
    queryFn: () => idsOf(chosen, revision),
  });
  return {
    ids: isOn ? found.data : undefined,
    isBusy: isOn && !found.data && !found.isError,
    error: isOn ? found.error : null,
    again: () => void found.refetch(),
  };
}

async function idsOf(
  chosen: Readonly<Record<string, string>>,
  revision: string,
): Promise<ReadonlySet<string>> {
  const { items } = await readAll(async (token) => {
    const query = {
      ...chosen,
      view: "CONFIGURATION_VIEW_BASIC" as const,
      min_revision: revision,
      page_size: PAGE_SIZE,
      ...(token ? { page_token: token } : {}),
    };
    const page = await read(api.GET("/api/v1/configurations", { params: { query } }));
    return { items: page.configurations ?? [], next: page.next_page_token };
  }, MOST_CONFIGURATIONS);
  return new Set(items.map((one) => one.id ?? ""));
}

/** Return the parameters of these names that are set. */
export function pick(parameters: URLSearchParams, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.map((name) => [name, parameters.get(name) ?? ""]).filter(([, value]) => value),
  );
}
