import type { Model } from "../api/client";
import { to } from "../app/routes";
import { typeName } from "../history/words";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { counted } from "../parts/words";
import { type Commit, commitsOf } from "./commits";
import { useMoments } from "./queries";

type Chosen = { from?: string; to?: string };
type Props = { application: string; from: string; to: string; onChoose: (chosen: Chosen) => void };

/** The commits of an application, newest first: the moments to choose from. */
export function CommitTable({ application, from, to: until, onChoose }: Props) {
  const moments = useMoments(application);
  const commits = commitsOf(moments.data?.pages.flatMap((page) => page.changes ?? []) ?? []);
  const floor = moments.data?.pages[0]?.compacted_revision ?? "0";
  return (
    <section aria-labelledby="moments">
      <h2 id="moments">Its commits</h2>
      {moments.isPending && <Busy label="Reading the commits" />}
      {moments.isError && <ErrorNotice error={moments.error} retry={() => void moments.refetch()} />}
      {moments.data && commits.length === 0 && (
        <Nothing>{moments.hasNextPage ? "There are only older ones." : "There is none."}</Nothing>
      )}
      {commits.length > 0 && (
        <div className="scroll">
          <table className="log">
            <caption className="hidden">
              The commits of the application, newest first. Choose two to compare the states after them.
            </caption>
            <thead>
              <tr>
                <th scope="col">From</th>
                <th scope="col">Until</th>
                <th scope="col">Revision</th>
                <th scope="col">What</th>
                <th scope="col">By</th>
                <th scope="col">When</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {commits.map((one) => (
                <Row
                  key={one.revision}
                  application={application}
                  commit={one}
                  isFrom={one.revision === from}
                  isUntil={one.revision === until}
                  onChoose={onChoose}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More pages={moments} />
      {floor !== "0" && !moments.hasNextPage && (
        <p className="faint">Older states than revision {floor} are no longer kept.</p>
      )}
    </section>
  );
}

type RowProps = {
  application: string;
  commit: Commit;
  isFrom: boolean;
  isUntil: boolean;
  onChoose: (chosen: Chosen) => void;
};

function Row({ application, commit, isFrom, isUntil, onChoose }: RowProps) {
  const { revision } = commit;
  const origin = commit.changes[0]?.origin;
  return (
    <tr>
      <td>
        <input
          type="radio"
          name="from"
          aria-label={`from revision ${revision}`}
          checked={isFrom}
          onChange={() => onChoose({ from: revision })}
        />
      </td>
      <td>
        <input
          type="radio"
          name="until"
          aria-label={`until revision ${revision}`}
          checked={isUntil}
          onChange={() => onChoose({ to: revision })}
        />
      </td>
      <td>
        <a href={to.past(application, { at: revision })}>{revision}</a>
      </td>
      <td>{whatOf(commit.changes)}</td>
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

function whatOf(changes: readonly Model["Change"][]): string {
  const [first] = changes;
  if (changes.length !== 1) return counted(changes.length, "change");
  return `${typeName(first?.type)} ${first?.name}`;
}
