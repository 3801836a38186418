import { useInfiniteQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { selectorText } from "./words";

const PAGE_SIZE = 100;
const REFRESH_MILLISECONDS = 5_000;
const STATES: Readonly<Record<string, string>> = {
  STATE_UP_TO_DATE: "up to date",
  STATE_BEHIND: "catching up",
  STATE_BLOCKED: "does not read",
};

/** The open watches of the process that answers. */
export function Watches() {
  const watches = useInfiniteQuery({
    queryKey: ["watches"],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListWatchesResponse"]) => page.next_page_token || undefined,
    refetchInterval: REFRESH_MILLISECONDS,
    queryFn: ({ pageParam }) =>
      read(
        api.GET("/api/v1/watches", {
          params: { query: { page_size: PAGE_SIZE, ...(pageParam && { page_token: pageParam }) } },
        }),
      ),
  });
  const rows = watches.data?.pages.flatMap((page) => page.watches ?? []) ?? [];
  return (
    <section aria-labelledby="watches">
      <h2 id="watches">Who watches</h2>
      <p className="faint">Of the worker that answers; with several workers, others have further watches.</p>
      {watches.isPending && <Busy label="Asking who watches" />}
      {watches.isError && <ErrorNotice error={watches.error} retry={() => void watches.refetch()} />}
      {watches.data && rows.length === 0 && <Nothing>Nobody watches this process.</Nothing>}
      {rows.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Instance</th>
                <th scope="col">Caller</th>
                <th scope="col">Address</th>
                <th scope="col">Selects</th>
                <th scope="col">State</th>
                <th scope="col" className="number">
                  Behind
                </th>
                <th scope="col">Since</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((one) => (
                <Row key={one.watch_id} watch={one} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More pages={watches} />
    </section>
  );
}

function Row({ watch }: { watch: Model["Watch"] }) {
  const instance = watch.instance ?? {};
  const program = [instance.program, instance.version].filter(Boolean).join(" ");
  const labels = Object.entries(instance.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  return (
    <tr>
      <td>
        {instance.id || "–"}
        <div className="faint">{[program, ...labels].filter(Boolean).join(" · ")}</div>
      </td>
      <td>{watch.principal}</td>
      <td>{watch.peer}</td>
      <td>
        {watch.selectors?.length ? watch.selectors.map(selectorText).join(", ") : "everything"}
        {watch.omitted_selector_count ? ` and ${watch.omitted_selector_count} more` : ""}
      </td>
      <td>{STATES[watch.state ?? ""] ?? watch.state}</td>
      <td className="number">{Number(watch.behind_count ?? 0).toLocaleString("en")}</td>
      <td>
        <Time value={watch.start_time} />
      </td>
    </tr>
  );
}
