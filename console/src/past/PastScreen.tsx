/** An application as it was at a revision or a time, and what changed between two. */
import { useQuery } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useState } from "react";
import { api, read, readAll } from "../api/client";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { written } from "../configuration/content";
import type { Configuration } from "../configuration/queries";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { TextFilter } from "../parts/TextFilter";
import { Time } from "../parts/Time";
import { counted } from "../parts/words";
import { type Difference, differences } from "./compare";
import { faultOfMoment, momentName, momentOf } from "./moment";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));
const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

const PAGE_SIZE = 200;

export default function PastScreen({ names }: ScreenProps) {
  const application = names.application ?? "";
  const [parameters, setParameters] = useParameters();
  const at = parameters.get("at") ?? "";
  const since = parameters.get("since") ?? "";
  const [count, setCount] = useState(0);
  const shown = useApplicationAt(application, at, true, setCount);
  const before = useApplicationAt(application, since, since !== "", setCount);
  const error = shown.error ?? before.error;
  const isBusy = shown.isPending || (since !== "" && before.isPending);
  return (
    <>
      <header className="screen">
        <h1>
          <a href={to.application(application)}>{application}</a> in the past
        </h1>
      </header>
      <search className="filters">
        <TextFilter
          label="At"
          value={at}
          placeholder="now, 41, 2026-01-31 12:00"
          check={faultOfMoment}
          onApply={(text) => setParameters({ at: text }, { replace: false })}
        />
        <TextFilter
          label="What changed since"
          value={since}
          placeholder="a revision or a time"
          check={faultOfMoment}
          onApply={(text) => setParameters({ since: text }, { replace: false })}
        />
      </search>
      {error && <ErrorNotice error={error} />}
      {!error && isBusy && <Busy label={`Reading: ${counted(count, "configuration")}`} />}
      {!error &&
        !isBusy &&
        shown.data &&
        (before.data && since ? (
          <Changes found={differences(before.data, shown.data)} since={since} at={at} />
        ) : (
          <Contents rows={shown.data} at={at} />
        ))}
    </>
  );
}

function useApplicationAt(
  application: string,
  moment: string,
  isAsked: boolean,
  onRead: (count: number) => void,
) {
  return useQuery({
    queryKey: ["past", application, moment],
    enabled: isAsked,
    queryFn: async () => {
      let count = 0;
      const { items } = await readAll(async (token) => {
        const query = {
          application,
          view: "CONFIGURATION_VIEW_FULL" as const,
          page_size: PAGE_SIZE,
          ...momentOf(moment),
          ...(token && { page_token: token }),
        };
        const page = await read(api.GET("/api/v1/configurations", { params: { query } }));
        count += page.configurations?.length ?? 0;
        onRead(count);
        return { items: page.configurations ?? [], next: page.next_page_token };
      });
      return items;
    },
  });
}

function Contents({ rows, at }: { rows: readonly Configuration[]; at: string }) {
  return (
    <section aria-labelledby="contents">
      <h2 id="contents">
        {counted(rows.length, "configuration")}, {momentName(at)}
      </h2>
      {rows.length === 0 && <Nothing>There was none.</Nothing>}
      {rows.map((one) => (
        <Opened key={one.id} title={one.name ?? ""} about={one}>
          <JsonEditor label={`Content of ${one.name}`} text={written(one.config)} />
        </Opened>
      ))}
    </section>
  );
}

function Changes({ found, since, at }: { found: readonly Difference[]; since: string; at: string }) {
  return (
    <section aria-labelledby="changes">
      <h2 id="changes">
        {counted(found.length, "difference")} between {momentName(since)} and {momentName(at)}
      </h2>
      {found.length === 0 && <Nothing>Nothing was different.</Nothing>}
      {found.map((one) => (
        <Opened key={one.name + one.kind} title={`${one.name}: ${one.kind}`} about={one.after ?? one.before}>
          <JsonDiff
            before={one.before ? written(one.before.config) : ""}
            after={one.after ? written(one.after.config) : ""}
            labels={[momentName(since), momentName(at)]}
          />
        </Opened>
      ))}
    </section>
  );
}

type OpenedProps = { title: string; about: Configuration | undefined; children: ReactNode };

/** A line that shows more when it is opened: editors of hundreds of contents at once would be slow. */
function Opened({ title, about, children }: OpenedProps) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>
        {title}{" "}
        <span className="faint">
          version {about?.version} by {about?.updated_by}, <Time value={about?.update_time} />
        </span>
      </summary>
      {isOpen && <Suspense fallback={<Busy label="Loading" />}>{children}</Suspense>}
    </details>
  );
}
