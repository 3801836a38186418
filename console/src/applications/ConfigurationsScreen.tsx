/** All configurations, searched as one types, filtered by the service, and live. */
import { useDeferredValue, useEffect, useMemo, useRef } from "react";
import { MOST_CONFIGURATIONS, useWatch, type Watched } from "../api/useWatch";
import { type Configuration, TooManyError } from "../api/view";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { type Column, VirtualTable } from "../parts/VirtualTable";
import { WatchBadge } from "../parts/WatchBadge";
import { counted } from "../parts/words";
import { useSession } from "../session/Session";
import { Filters } from "./Filters";
import { matching } from "./matching";
import { MOST_SELECTORS, selectorsFor } from "./selectors";
import { type ContentFilter, useContentFilter } from "./useContentFilter";

export default function ConfigurationsScreen() {
  const session = useSession();
  const [parameters, setParameters] = useParameters();
  const query = parameters.get("q") ?? "";
  const selectors = selectorsFor(session, parameters);
  const watched = useWatch({ view: "CONFIGURATION_VIEW_BASIC", selectors });
  const filter = useContentFilter(parameters, selectors, watched.revision);
  const schema = parameters.get("schema");
  const deferred = useDeferredValue(query);
  const rows = useMemo(() => {
    const selected = [...watched.rows.values()].filter(
      (row) => (!schema || row.schema?.schema === schema) && (!filter.ids || filter.ids.has(row.id ?? "")),
    );
    return matching(selected, deferred);
  }, [watched.rows, filter.ids, schema, deferred]);
  const field = useRef<HTMLInputElement>(null);
  const wantsFocus = parameters.get("focus") === "search";
  useEffect(() => {
    if (wantsFocus) field.current?.focus();
  }, [wantsFocus]);

  return (
    <>
      <header className="screen">
        <h1>Configurations</h1>
        <WatchBadge state={watched.state} revision={watched.revision} />
        {(session.may("ROLE_EDITOR") ||
          session.caller.application_roles?.some((one) => one.role !== "ROLE_VIEWER")) && (
          <a className="button" href={to.newConfiguration(parameters.get("application") ?? undefined)}>
            New configuration
          </a>
        )}
      </header>
      <search className="filters">
        <label>
          Search{" "}
          <input
            ref={field}
            type="search"
            value={query}
            placeholder="application, name, schema, who changed it"
            onChange={(event) => setParameters({ q: event.target.value, focus: "" })}
          />
        </label>
        <Filters parameters={parameters} onChange={setParameters} />
      </search>
      {selectors.length > MOST_SELECTORS ? (
        <Nothing>You have roles for {counted(selectors.length, "application")}: choose one.</Nothing>
      ) : (
        <Found watched={watched} filter={filter} rows={rows} />
      )}
    </>
  );
}

function Found({
  watched,
  filter,
  rows,
}: {
  watched: Watched;
  filter: ContentFilter;
  rows: readonly Configuration[];
}) {
  if (watched.failure instanceof TooManyError) {
    return (
      <Nothing>
        More than {counted(MOST_CONFIGURATIONS, "configuration")}: choose an application or a filter.
      </Nothing>
    );
  }
  if (watched.failure) return <ErrorNotice error={watched.failure} retry={watched.restart} />;
  if (filter.error) return <ErrorNotice error={filter.error} retry={filter.again} />;
  if (!watched.isComplete || filter.isBusy) return <Busy label="Reading the configurations" />;
  if (!rows.length) {
    return (
      <Nothing>
        {watched.rows.size
          ? "No configuration has these words and this content."
          : "There is no such configuration."}
      </Nothing>
    );
  }
  return (
    <>
      <p className="count" role="status">
        {rows.length === watched.rows.size ? rows.length : `${rows.length} of ${watched.rows.size}`}{" "}
        configurations
      </p>
      <VirtualTable
        label="Configurations"
        columns={COLUMNS}
        rows={rows}
        keyOf={(row) => row.id ?? ""}
        classOf={(row) => (watched.lit.has(row.id ?? "") ? "lit" : "")}
      />
    </>
  );
}

const COLUMNS: readonly Column<Configuration>[] = [
  {
    title: "Application",
    cell: (row) => <a href={to.application(row.application ?? "")}>{row.application}</a>,
  },
  {
    title: "Name",
    cell: (row) => <a href={to.configuration(row.application ?? "", row.name ?? "")}>{row.name}</a>,
  },
  {
    title: "Schema",
    className: "wide-only",
    cell: (row) =>
      row.schema?.schema && (
        <a href={to.schema(row.schema.schema)}>
          {row.schema.schema} {Number(row.schema.version) ? `(pinned to ${row.schema.version})` : ""}
        </a>
      ),
  },
  { title: "Version", className: "number", cell: (row) => row.version },
  { title: "Changed by", className: "wide-only", cell: (row) => row.updated_by },
  { title: "Changed", className: "wide-only", cell: (row) => <Time value={row.update_time} /> },
];
