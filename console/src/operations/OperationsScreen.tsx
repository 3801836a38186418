/** Imports and migrations, with their progress. */
import { to } from "../app/routes";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { Progress } from "./Progress";
import { useOperations } from "./queries";
import { kindOf, stateOf } from "./words";

export default function OperationsScreen() {
  const operations = useOperations("");
  const rows = operations.data?.pages.flatMap((page) => page.operations ?? []) ?? [];
  return (
    <>
      <header className="screen">
        <h1>Operations</h1>
        <a className="button" href={to.transfer()}>
          Import or export
        </a>
      </header>
      {operations.isPending && <Busy label="Reading the operations" />}
      {operations.isError && <ErrorNotice error={operations.error} retry={() => void operations.refetch()} />}
      {operations.data && rows.length === 0 && <Nothing>There is no operation that you may see.</Nothing>}
      {rows.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Operation</th>
                <th scope="col">State</th>
                <th scope="col">Progress</th>
                <th scope="col">By</th>
                <th scope="col">Began</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((one) => (
                <tr key={one.name}>
                  <td>
                    <a href={to.operation(one.name ?? "")}>{kindOf(one)}</a>
                  </td>
                  <td>{stateOf(one)}</td>
                  <td>
                    <Progress operation={one} />
                  </td>
                  <td>{one.metadata?.actor}</td>
                  <td>
                    <Time value={one.metadata?.create_time} />
                  </td>
                  <td>{one.metadata?.reason}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More pages={operations} />
    </>
  );
}
