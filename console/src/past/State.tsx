import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { Configuration } from "../configuration/queries";
import { PastConfiguration } from "../history/OneVersion";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { type Column, VirtualTable } from "../parts/VirtualTable";
import { counted } from "../parts/words";
import { momentName, momentOf } from "./moments";
import { NoSuchMoment } from "./NoSuchMoment";
import { type Snapshot, useContents, useSnapshot } from "./queries";

type Props = { application: string; at: string; onChoose: (at: string) => void };

/** All configurations of an application as of a moment. */
export function State({ application, at, onChoose }: Props) {
  const isMoment = momentOf(at) !== undefined;
  const { snapshot, count } = useSnapshot(application, at, isMoment);
  return (
    <section aria-labelledby="state">
      <h2 id="state">As of {momentName(at)}</h2>
      {!isMoment && <Nothing>{`${at} is no revision and no time.`}</Nothing>}
      {isMoment && snapshot.isPending && (
        <Busy label={`Reading the past: ${counted(count, "configuration")}`} />
      )}
      {snapshot.isError && (
        <NoSuchMoment error={snapshot.error} retry={() => void snapshot.refetch()} onChoose={onChoose} />
      )}
      {snapshot.data && <Found application={application} at={at} snapshot={snapshot.data} />}
    </section>
  );
}

function Found({ application, at, snapshot }: { application: string; at: string; snapshot: Snapshot }) {
  const [parameters, setParameters] = useParameters();
  const shown = parameters.get("show") ?? "";
  const one = snapshot.rows.find((row) => row.id === shown);
  const then = snapshot.rows[0]?.application;
  if (!snapshot.existed)
    return <Nothing>{`At ${momentName(at)}, there was no application ${application}.`}</Nothing>;
  return (
    <>
      <p className="count" role="status">
        {counted(snapshot.rows.length, "configuration")} at revision {snapshot.revision}
        {then && then !== application && `; the application was named ${then} then`}
      </p>
      {one && (
        <Content
          configuration={one}
          revision={snapshot.revision}
          onClose={() => setParameters({ show: "" }, { replace: false })}
        />
      )}
      {shown && !one && <Nothing>The configuration of this address did not exist then.</Nothing>}
      {snapshot.rows.length > 0 && (
        <div className="bounded">
          <VirtualTable
            label="Configurations of the past"
            columns={columns(application, at)}
            rows={snapshot.rows}
            keyOf={(row) => row.id ?? ""}
            classOf={(row) => (row.id === shown ? "chosen" : "")}
          />
        </div>
      )}
    </>
  );
}

function columns(application: string, at: string): readonly Column<Configuration>[] {
  return [
    {
      title: "Name",
      cell: (row) => <a href={to.past(application, { at, show: row.id })}>{row.name}</a>,
    },
    { title: "Version", className: "number", cell: (row) => row.version },
    { title: "Changed by", className: "wide-only", cell: (row) => row.updated_by },
    { title: "Changed", className: "wide-only", cell: (row) => <Time value={row.update_time} exact /> },
  ];
}

type ContentProps = { configuration: Configuration; revision: string; onClose: () => void };

function Content({ configuration, revision, onClose }: ContentProps) {
  const contents = useContents([{ id: configuration.id ?? "", revision }]);
  const found = contents.data?.[0];
  return (
    <section aria-labelledby="shown">
      <header className="screen">
        <h3 id="shown">{configuration.name}</h3>
        <a
          className="button"
          href={to.history(configuration.application ?? "", configuration.name ?? "", {
            version: configuration.version,
          })}
        >
          History
        </a>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </header>
      {contents.isPending && <Busy label="Reading the content" />}
      {contents.isError && <ErrorNotice error={contents.error} retry={() => void contents.refetch()} />}
      {found && <PastConfiguration configuration={found} />}
    </section>
  );
}
