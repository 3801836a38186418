/** The versions of a configuration: any two can be compared, and each can come back. */
import { lazy, Suspense, useState } from "react";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { written } from "../configuration/content";
import { More } from "../parts/More";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { useDifference, useVersions, type Version } from "./queries";
import { RollbackDialog } from "./RollbackDialog";
import { typeName } from "./words";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

export default function HistoryScreen({ names }: ScreenProps) {
  const { application = "", name = "" } = names;
  const session = useSession();
  const [parameters, setParameters] = useParameters();
  const [rollback, setRollback] = useState<Version>();
  const versions = useVersions(application, name);
  const rows = versions.data?.pages.flatMap((page) => page.versions ?? []) ?? [];
  const newest = rows[0];
  const isCompacted = versions.data?.pages.at(-1)?.compacted && !versions.hasNextPage;
  return (
    <>
      <header className="screen">
        <h1>
          History of <a href={to.configuration(application, name)}>{`${application}/${name}`}</a>
        </h1>
        <a className="button" href={to.blame(application, name)}>
          Blame
        </a>
      </header>
      {versions.isPending && <Busy label="Reading the versions" />}
      {versions.isError && <ErrorNotice error={versions.error} retry={() => void versions.refetch()} />}
      <Difference
        application={application}
        name={name}
        from={parameters.get("from") ?? ""}
        to={parameters.get("to") ?? ""}
        onClose={() => setParameters({ from: "", to: "" })}
      />
      {rows.length > 0 && (
        <Versions
          rows={rows}
          from={parameters.get("from") ?? ""}
          to={parameters.get("to") ?? ""}
          onChoose={setParameters}
          onRollback={session.may("ROLE_EDITOR", application) ? setRollback : undefined}
        />
      )}
      <More pages={versions} />
      {isCompacted && <p className="faint">Older versions are no longer kept.</p>}
      {rollback && newest && (
        <RollbackDialog
          configuration={{ application, name }}
          newest={newest}
          target={rollback}
          onClose={() => setRollback(undefined)}
        />
      )}
    </>
  );
}

type DifferenceProps = { application: string; name: string; from: string; to: string; onClose: () => void };

function Difference({ application, name, from, to: until, onClose }: DifferenceProps) {
  const difference = useDifference(application, name, from, until);
  if (!until) return null;
  if (difference.isError)
    return <ErrorNotice error={difference.error} retry={() => void difference.refetch()} />;
  if (!difference.data) return <Busy label="Comparing" />;
  const { before, after, lines, ...versions } = difference.data;
  return (
    <section aria-labelledby="difference">
      <header className="screen">
        <h2 id="difference">
          {versions.from ? `Version ${versions.from} and version ${versions.to}` : `Version ${versions.to}`}
        </h2>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </header>
      <Suspense fallback={<Busy label="Comparing" />}>
        <JsonDiff
          before={before ? written(before) : ""}
          after={after ? written(after) : ""}
          labels={[versions.from ? `version ${versions.from}` : "nothing", `version ${versions.to}`]}
        />
      </Suspense>
      {lines.length === 0 ? (
        <p className="faint">The contents are the same.</p>
      ) : (
        <ul className="changes">
          {lines.map((line) => (
            <li key={line}>
              <code>{line}</code>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

type VersionsProps = {
  rows: readonly Version[];
  from: string;
  to: string;
  onChoose: (chosen: { from?: string; to?: string }) => void;
  onRollback: ((version: Version) => void) | undefined;
};

function Versions({ rows, from, to: until, onChoose, onRollback }: VersionsProps) {
  const newest = rows[0]?.configuration?.version;
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Version</th>
            <th scope="col">Change</th>
            <th scope="col">By</th>
            <th scope="col">When</th>
            <th scope="col">Why</th>
            <th scope="col">
              <span className="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => {
            const version = one.configuration?.version ?? "";
            const choose = (side: "from" | "to") => (
              <input
                type="radio"
                name={side}
                aria-label={`${side} version ${version}`}
                checked={(side === "from" ? from : until) === version}
                onChange={() => onChoose(chosen(side, version, from, until, newest ?? ""))}
              />
            );
            return (
              <tr key={version}>
                <td>{choose("from")}</td>
                <td>{choose("to")}</td>
                <td>{version}</td>
                <td>{typeName(one.type)}</td>
                <td>{one.origin?.actor}</td>
                <td>
                  <Time value={one.origin?.commit_time} />
                </td>
                <td>
                  {one.origin?.reason} {one.origin?.change_request && `(${one.origin.change_request})`}
                </td>
                <td>
                  {onRollback && version !== newest && one.type !== "CHANGE_TYPE_DELETED" && (
                    <button type="button" onClick={() => onRollback(one)}>
                      Roll back …
                    </button>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Return the two versions to compare once one was chosen: with the newest until both are. */
function chosen(side: "from" | "to", version: string, from: string, until: string, newest: string) {
  return side === "from" ? { from: version, to: until || newest } : { from, to: version };
}
