import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, read, readAll } from "../api/client";
import { MOST_CONFIGURATIONS } from "../api/useWatch";
import type { Selector } from "./selectors";

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
export function useContentFilter(
  parameters: URLSearchParams,
  selectors: readonly Selector[],
  revision: string,
): ContentFilter {
  const content = Object.fromEntries(
    BY_CONTENT.map((name) => [name, parameters.get(name)]).filter(([, value]) => value),
  ) as Record<string, string>;
  const isOn = Object.keys(content).length > 0;
  const found = useQuery({
    queryKey: ["content-filter", content, selectors, revision],
    enabled: isOn && revision !== "",
    placeholderData: keepPreviousData,
    queryFn: () => idsOf(content, selectors, revision),
  });
  return {
    ids: isOn ? found.data : undefined,
    isBusy: isOn && !found.data && !found.isError,
    error: isOn ? found.error : null,
    again: () => void found.refetch(),
  };
}

async function idsOf(
  content: Readonly<Record<string, string>>,
  selectors: readonly Selector[],
  revision: string,
): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for (const selector of selectors) {
    const { items } = await readAll((token) => page(content, selector, revision, token), MOST_CONFIGURATIONS);
    for (const one of items) ids.add(one.id ?? "");
  }
  return ids;
}

async function page(content: object, selector: Selector, revision: string, token: string | undefined) {
  const { application, name_prefix } = selector;
  const query = {
    ...content,
    ...(application?.id && { "application.id": application.id }),
    ...(application?.name && { application: application.name }),
    ...(name_prefix && { name_prefix }),
    view: "CONFIGURATION_VIEW_BASIC" as const,
    min_revision: revision,
    page_size: PAGE_SIZE,
    ...(token && { page_token: token }),
  };
  const answer = await read(api.GET("/api/v1/configurations", { params: { query } }));
  return { items: answer.configurations ?? [], next: answer.next_page_token };
}
