import { to } from "../app/routes";
import type { Key } from "../configuration/writes";
import { Time } from "../parts/Time";
import type { Version } from "./queries";
import { typeName } from "./words";

type Props = {
  of: Key;
  rows: readonly Version[];
  from: string;
  to: string;
  onChoose: (chosen: { from: string; to: string }) => void;
  onRollback: ((version: string) => void) | undefined;
};

/** The table of versions, newest first. */
export function Versions({ of, rows, from, to: until, onChoose, onRollback }: Props) {
  const newest = rows[0]?.configuration?.version ?? "";
  return (
    <div className="scroll">
      <table className="log">
        <caption className="hidden">Versions, newest first. Choose two to compare them.</caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Version</th>
            <th scope="col">Change</th>
            <th scope="col">By</th>
            <th scope="col">When</th>
            <th scope="col">Why</th>
            {onRollback && (
              <th scope="col">
                <span className="hidden">Actions</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => {
            const version = one.configuration?.version ?? "";
            const isDeletion = one.type === "CHANGE_TYPE_DELETED";
            const choose = (side: "from" | "to") => (
              <input
                type="radio"
                name={side}
                aria-label={`${side} version ${version}`}
                checked={(side === "from" ? from : until) === version}
                onChange={() => onChoose(chosen(side, version, from, until, newest))}
              />
            );
            return (
              <tr key={version}>
                <td>{choose("from")}</td>
                <td>{choose("to")}</td>
                <td>
                  {isDeletion ? (
                    version
                  ) : (
                    <a href={to.history(of.application, of.name, { version })}>{version}</a>
                  )}
                </td>
                <td>
                  <a href={to.history(of.application, of.name, { to: version })}>{typeName(one.type)}</a>
                </td>
                <td>{one.origin?.actor}</td>
                <td>
                  <Time value={one.origin?.commit_time} exact />
                </td>
                <td>
                  {one.origin?.reason} {one.origin?.change_request && `(${one.origin.change_request})`}
                </td>
                {onRollback && (
                  <td>
                    {version !== newest && !isDeletion && (
                      <button type="button" onClick={() => onRollback(version)}>
                        Roll back <span className="hidden">to version {version}</span>…
                      </button>
                    )}
                  </td>
                )}
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
