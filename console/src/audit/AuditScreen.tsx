/** Every change of everything: who, when, why. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { type Parameters, useParameters } from "../app/location";
import { typeName } from "../history/words";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { TextFilter } from "../parts/TextFilter";
import { Time } from "../parts/Time";
import { faultOfTime, timeOf } from "../parts/times";
import { historyOf, KINDS, kindName } from "./words";

type Change = Model["Change"];

const PAGE_SIZE = 100;
// A page examines a part of the log: where matches are rare, many pages are empty.
const SEARCH_MILLISECONDS = 5_000;
const FILTERS = [
  "actor",
  "application",
  "kind",
  "resource_name",
  "start_time",
  "end_time",
  "resource_id",
] as const;

export default function AuditScreen() {
  const [parameters, setParameters] = useParameters();
  const chosen = Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name) ?? ""]));
  const changes = useChanges(chosen);
  const rows = changes.data?.pages.flatMap((page) => page.changes ?? []) ?? [];
  const floor = changes.data?.pages[0]?.compacted_revision ?? "0";
  return (
    <>
      <header className="screen">
        <h1>Audit</h1>
      </header>
      <Filters chosen={chosen} onChange={setParameters} />
      {chosen.resource_id && (
        <p>
          Only the changes of <code>{chosen.resource_id}</code>.{" "}
          <button type="button" onClick={() => setParameters({ resource_id: "" })}>
            Show all
          </button>
        </p>
      )}
      {changes.isPending && <Busy label="Reading the changes" />}
      {changes.isError && <ErrorNotice error={changes.error} retry={() => void changes.refetch()} />}
      {changes.data && rows.length === 0 && (
        <Nothing>
          {changes.hasNextPage ? "No change matches so far: there are older ones." : "No change matches."}
        </Nothing>
      )}
      {rows.length > 0 && <Table rows={rows} />}
      <More pages={changes} />
      {floor !== "0" && !changes.hasNextPage && (
        <p className="faint">Changes before revision {floor} may no longer be kept.</p>
      )}
    </>
  );
}

function useChanges(chosen: Readonly<Record<string, string>>) {
  return useInfiniteQuery({
    queryKey: ["changes", chosen],
    initialPageParam: "",
    getNextPageParam: (page: Model["ListChangesResponse"]) => page.next_page_token || undefined,
    queryFn: async ({ pageParam, signal }) => {
      const end = Date.now() + SEARCH_MILLISECONDS;
      let page = await changesPage(chosen, pageParam, signal);
      while (!page.changes?.length && page.next_page_token && Date.now() < end)
        page = await changesPage(chosen, page.next_page_token, signal);
      return page;
    },
  });
}

function changesPage(chosen: Readonly<Record<string, string>>, token: string, signal: AbortSignal) {
  const set = Object.entries({ ...chosen, page_token: token }).filter(([, value]) => value);
  const query = { page_size: PAGE_SIZE, ...Object.fromEntries(set) };
  return read(api.GET("/api/v1/changes", { params: { query }, signal }));
}

type FiltersProps = { chosen: Readonly<Record<string, string>>; onChange: (changes: Parameters) => void };

function Filters({ chosen, onChange }: FiltersProps) {
  const filter = (name: (typeof FILTERS)[number]) => ({
    value: chosen[name] ?? "",
    onApply: (text: string) => onChange({ [name]: text }),
  });
  const time = (name: (typeof FILTERS)[number]) => ({
    value: chosen[name] ?? "",
    // With its zone: others who get the address may live in another.
    onApply: (text: string) => onChange({ [name]: timeOf(text) }),
  });
  return (
    <search className="filters">
      <TextFilter label="Actor" placeholder="user:ada" {...filter("actor")} />
      <TextFilter label="Application" {...filter("application")} />
      <label>
        Kind
        <select value={chosen.kind} onChange={(event) => onChange({ kind: event.target.value })}>
          <option value="">any</option>
          {KINDS.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <TextFilter label="Name" {...filter("resource_name")} />
      <TextFilter label="From" placeholder="2026-01-31 12:00" check={faultOfTime} {...time("start_time")} />
      <TextFilter label="Until" placeholder="2026-01-31 13:00" check={faultOfTime} {...time("end_time")} />
    </search>
  );
}

function Table({ rows }: { rows: readonly Change[] }) {
  return (
    <div className="scroll">
      <table className="log">
        <thead>
          <tr>
            <th scope="col" className="number">
              Revision
            </th>
            <th scope="col">When</th>
            <th scope="col">By</th>
            <th scope="col">Change</th>
            <th scope="col">What</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => (
            <tr key={`${one.revision} ${one.kind} ${one.resource_id} ${one.version}`}>
              <td className="number">{one.revision}</td>
              <td>
                <Time value={one.origin?.commit_time} exact />
              </td>
              <td>
                {one.origin?.actor}
                {one.peer && <div className="faint">{one.peer}</div>}
              </td>
              <td>
                {typeName(one.type)} {one.version && `version ${one.version}`}
              </td>
              <td>
                {kindName(one.kind)} <What change={one} />
                {one.previous_name && <div className="faint">was {one.previous_name}</div>}
              </td>
              <td>
                {one.origin?.reason} {one.origin?.change_request && `(${one.origin.change_request})`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function What({ change }: { change: Change }) {
  const name =
    change.kind === "RESOURCE_KIND_CONFIGURATION" ? `${change.application}/${change.name}` : change.name;
  return <a href={historyOf(change)}>{name || change.resource_id}</a>;
}
