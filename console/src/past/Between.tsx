import { useState } from "react";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { Configuration } from "../configuration/queries";
import { Comparison } from "../history/Comparison";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { counted } from "../parts/words";
import { type ChangeOf, compare } from "./compare";
import { momentName, momentOf } from "./moments";
import { NoSuchMoment } from "./NoSuchMoment";
import { type Snapshot, useContents, useSnapshot } from "./queries";

const PART = 200;

type Chosen = { from?: string; to?: string };
type Props = { application: string; from: string; to: string; onChoose: (chosen: Chosen) => void };

/** What changed in an application between two moments. */
export function Between({ application, from, to: until, onChoose }: Props) {
  const areMoments = momentOf(from) !== undefined && momentOf(until) !== undefined;
  const isAsked = areMoments && from !== "";
  const first = useSnapshot(application, from, isAsked);
  const second = useSnapshot(application, until, isAsked);
  const failed = first.snapshot.isError ? first : second;
  return (
    <section aria-labelledby="between">
      <h2 id="between">
        Changed from {from ? momentName(from) : "…"} until {momentName(until)}
      </h2>
      {!areMoments && <Nothing>The address names no revision and no time.</Nothing>}
      {areMoments && !from && <Nothing>Choose a moment to start from.</Nothing>}
      {isAsked &&
        !failed.snapshot.isError &&
        (first.snapshot.data && second.snapshot.data ? (
          <Found
            application={application}
            moments={{ from, to: until }}
            before={first.snapshot.data}
            after={second.snapshot.data}
          />
        ) : (
          <Busy label={`Reading the past: ${counted(first.count + second.count, "configuration")}`} />
        ))}
      {failed.snapshot.error && (
        <NoSuchMoment
          error={failed.snapshot.error}
          retry={() => void failed.snapshot.refetch()}
          onChoose={(revision) => onChoose(failed === first ? { from: revision } : { to: revision })}
        />
      )}
    </section>
  );
}

type FoundProps = {
  application: string;
  moments: { from: string; to: string };
  before: Snapshot;
  after: Snapshot;
};

function Found({ application, moments, before, after }: FoundProps) {
  const [parameters] = useParameters();
  const [most, setMost] = useState(PART);
  const shown = parameters.get("show") ?? "";
  if (!before.existed && !after.existed)
    return <Nothing>There was no application {application} at either of both.</Nothing>;
  const changes = compare(before.rows, after.rows);
  return (
    <>
      {!before.existed && <p>The application did not exist at {momentName(moments.from)}.</p>}
      {!after.existed && <p>The application did not exist at {momentName(moments.to)}.</p>}
      <p className="count" role="status">
        {summary(changes)}
        {before.revision && after.revision && `, revision ${before.revision} → ${after.revision}`}
      </p>
      <ul className="plain past-changes">
        {changes.slice(0, most).map((change) => {
          const id = idOf(change);
          const isOpen = id === shown;
          return (
            <li key={id}>
              <span className={`badge ${change.kind}`}>{change.kind}</span>{" "}
              <a
                href={to.past(application, { ...moments, show: isOpen ? undefined : id })}
                aria-expanded={isOpen}
              >
                {change.name}
              </a>{" "}
              <span className="faint">{described(change)}</span>
              {isOpen && <Difference change={change} before={before.revision} after={after.revision} />}
            </li>
          );
        })}
      </ul>
      {changes.length > most && (
        <button type="button" onClick={() => setMost(most + PART)}>
          Show more
        </button>
      )}
    </>
  );
}

type Change = ChangeOf<Configuration>;

function Difference({ change, before, after }: { change: Change; before: string; after: string }) {
  const contents = useContents([
    "before" in change ? { id: change.before.id ?? "", revision: before } : null,
    "after" in change ? { id: change.after.id ?? "", revision: after } : null,
  ]);
  if (contents.isError) return <ErrorNotice error={contents.error} retry={() => void contents.refetch()} />;
  if (!contents.data) return <Busy label="Comparing" />;
  const [old = null, now = null] = contents.data;
  return (
    <Comparison
      before={old}
      after={now}
      labels={[
        old ? `version ${old.version}, revision ${before}` : "nothing",
        now ? `version ${now.version}, revision ${after}` : "nothing",
      ]}
    />
  );
}

function idOf(change: Change): string {
  return ("after" in change ? change.after.id : change.before.id) ?? "";
}

function described(change: Change): string {
  if (change.kind === "added") return `by ${change.after.created_by}, version ${change.after.version}`;
  if (change.kind === "removed") return `was version ${change.before.version}`;
  const { before, after } = change;
  const renamed = before.name === after.name ? "" : `was named ${before.name}, `;
  const replaced = before.id === after.id ? "" : "another one with its name, ";
  return `${renamed}${replaced}version ${before.version} → ${after.version}, last by ${after.updated_by}`;
}

function summary(changes: readonly Change[]): string {
  if (!changes.length) return "Nothing changed";
  const count = (kind: Change["kind"]) => changes.filter((one) => one.kind === kind).length;
  return `${count("added")} added, ${count("removed")} removed, ${count("changed")} changed`;
}
