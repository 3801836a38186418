/** Who last set each value of a configuration, when, and why. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import type { Json } from "../configuration/content";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { type Blamed, Blamer } from "./blame";
import { type Version, versionsPage } from "./queries";

const PAGE_SIZE = 100;

export default function BlameScreen({ names }: ScreenProps) {
  const { application = "", name = "" } = names;
  const [read, setRead] = useState(0);
  const blame = useQuery({
    queryKey: ["blame", application, name],
    queryFn: () => blamed(application, name, setRead),
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
      {blame.isPending && <Busy label={`Reading the history: ${read} versions`} />}
      {blame.isError && <ErrorNotice error={blame.error} retry={() => void blame.refetch()} />}
      {blame.data === null && <Nothing>It is deleted: its history shows who deleted it.</Nothing>}
      {blame.data && <Table application={application} name={name} rows={blame.data} />}
    </>
  );
}

async function blamed(application: string, name: string, onRead: (count: number) => void) {
  let blamer: Blamer<Version> | undefined;
  let token = "";
  let count = 0;
  do {
    const page = await versionsPage(application, name, "CONFIGURATION_VIEW_FULL", PAGE_SIZE, token);
    for (const one of page.versions ?? []) {
      const content = one.configuration?.config as Json | undefined;
      if (blamer) blamer.lookAt(one, content);
      else if (content === undefined) return null;
      else blamer = new Blamer(one, content);
    }
    count += page.versions?.length ?? 0;
    onRead(count);
    token = page.next_page_token ?? "";
    if (!token && page.compacted) blamer?.endAtCompaction();
  } while (token && !blamer?.isDone);
  return blamer?.found ?? null;
}

type TableProps = { application: string; name: string; rows: readonly Blamed<Version>[] };

function Table({ application, name, rows }: TableProps) {
  return (
    <div className="scroll">
      {rows.some((one) => one.isOldestKept) && (
        <p className="faint">Older versions are no longer kept: ≤ is the oldest one that has the value.</p>
      )}
      <table>
        <thead>
          <tr>
            <th scope="col">Place</th>
            <th scope="col">Value</th>
            <th scope="col">Version</th>
            <th scope="col">By</th>
            <th scope="col">When</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => {
            const version = one.version.configuration?.version ?? "";
            return (
              <tr key={one.pointer}>
                <td>
                  <code>{one.pointer || "/"}</code>
                </td>
                <td>
                  <code>{shortened(JSON.stringify(one.value))}</code>
                </td>
                <td>
                  <a href={to.history(application, name, { to: version })}>
                    {one.isOldestKept ? "≤ " : ""}
                    {version}
                  </a>
                </td>
                <td>{one.version.origin?.actor}</td>
                <td>
                  <Time value={one.version.origin?.commit_time} />
                </td>
                <td>{one.version.origin?.reason}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

const MOST_SHOWN = 80;

function shortened(text: string): string {
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN - 1)}…` : text;
}
