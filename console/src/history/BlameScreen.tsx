/** Who last set each value of a configuration, when, and why. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import type { Json } from "../configuration/content";
import type { Key } from "../configuration/writes";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { counted } from "../parts/words";
import { type Blamed, Blamer } from "./blame";
import { type Version, versionsPage } from "./queries";
import { shortened } from "./words";

const PAGE_SIZE = 100;
const PART = 500;

type Progress = { read: number; newest: number };

export default function BlameScreen({ names }: ScreenProps) {
  const { application = "", name = "" } = names;
  const [progress, setProgress] = useState<Progress>({ read: 0, newest: 0 });
  const blame = useQuery({
    queryKey: ["blame", application, name],
    queryFn: ({ signal }) => blamed({ application, name }, setProgress, signal),
  });
  return (
    <>
      <header className="screen">
        <h1>
          Blame of <a href={to.configuration(application, name)}>{`${application}/${name}`}</a>
        </h1>
        <a className="button" href={to.history(application, name)}>
          History
        </a>
      </header>
      {blame.isPending && (
        <Busy
          label={`Reading the history: ${counted(progress.read, "version")}`}
          done={progress.read}
          total={progress.newest}
        />
      )}
      {blame.isError && <ErrorNotice error={blame.error} retry={() => void blame.refetch()} />}
      {blame.data === null && <Nothing>It is deleted: its history shows who deleted it.</Nothing>}
      {blame.data && <Found of={{ application, name }} rows={blame.data} />}
    </>
  );
}

/** Read versions, newest first, until they explain every value. Null: it is deleted. */
async function blamed(of: Key, onRead: (progress: Progress) => void, signal: AbortSignal) {
  let blamer: Blamer<Version> | undefined;
  let token = "";
  const progress = { read: 0, newest: 0 };
  do {
    const page = await versionsPage(
      of.application,
      of.name,
      "CONFIGURATION_VIEW_FULL",
      PAGE_SIZE,
      token,
      signal,
    );
    for (const one of page.versions ?? []) {
      const content = one.configuration?.config as Json | undefined;
      if (blamer) blamer.lookAt(one, content);
      else if (content === undefined) return null;
      else blamer = new Blamer(one, content);
      progress.newest ||= Number(one.configuration?.version);
      progress.read += 1;
    }
    onRead({ ...progress });
    token = page.next_page_token ?? "";
    if (!token && page.compacted) blamer?.endAtCompaction();
  } while (token && !blamer?.isDone);
  return blamer?.found ?? null;
}

type FoundProps = { of: Key; rows: readonly Blamed<Version>[] };

function Found({ of, rows }: FoundProps) {
  const [parameters, setParameters] = useParameters();
  const [shown, setShown] = useState(PART);
  const query = parameters.get("q") ?? "";
  const asked = query.toLowerCase();
  const found = rows.filter((one) => one.pointer.toLowerCase().includes(asked));
  return (
    <>
      <search className="filters">
        <label>
          Search{" "}
          <input
            type="search"
            value={query}
            placeholder="/a/part/of/a/pointer"
            onChange={(event) => setParameters({ q: event.target.value })}
          />
        </label>
      </search>
      {rows.some((one) => one.isOldestKept) && (
        <p className="notice warning">
          Older versions are no longer kept: ≤ marks the oldest one that has the value, which may have had it
          from an earlier one.
        </p>
      )}
      <p className="count" role="status">
        {found.length === rows.length ? "" : `${found.length} of `}
        {counted(rows.length, "value")}
      </p>
      <Table of={of} rows={found.slice(0, shown)} />
      {found.length > shown && (
        <button type="button" onClick={() => setShown(shown + PART)}>
          Show more
        </button>
      )}
    </>
  );
}

function Table({ of, rows }: FoundProps) {
  return (
    <div className="scroll">
      <table className="log">
        <thead>
          <tr>
            <th scope="col">Pointer</th>
            <th scope="col">Value</th>
            <th scope="col">Version</th>
            <th scope="col">By</th>
            <th scope="col">When</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => (
            <Row key={one.pointer} of={of} blamed={one} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({
  of,
  blamed: { pointer, value, version, isOldestKept },
}: {
  of: Key;
  blamed: Blamed<Version>;
}) {
  const number = version.configuration?.version ?? "";
  const { origin } = version;
  return (
    <tr>
      <td>
        <code>{pointer || "(the content)"}</code>
      </td>
      <td>
        <code>{shortened(value)}</code>
      </td>
      <td>
        {/* What the oldest kept version changed is not known. */}
        <a
          href={to.history(of.application, of.name, isOldestKept ? { version: number } : { to: number })}
        >{`${isOldestKept ? "≤ " : ""}${number}`}</a>
      </td>
      <td>{origin?.actor}</td>
      <td>
        <Time value={origin?.commit_time} exact />
      </td>
      <td>
        {origin?.reason} {origin?.change_request && `(${origin.change_request})`}
      </td>
    </tr>
  );
}
