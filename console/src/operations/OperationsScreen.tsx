/** Operations in the background: those of the caller; all of them for an admin. */
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { counted } from "../parts/words";
import { idOf, kindName, STATES, stateName } from "./items";
import { Progress } from "./Progress";
import { type Operation, useOperations } from "./queries";

export default function OperationsScreen() {
  const [parameters, setParameters] = useParameters();
  const state = parameters.get("state") ?? "";
  const operations = useOperations();
  const read = operations.data?.pages.flatMap((page) => page.operations ?? []) ?? [];
  const rows = read.filter((one) => !state || one.metadata?.state === state);
  return (
    <>
      <header className="screen">
        <h1>Operations</h1>
      </header>
      <search className="filters">
        <label>
          State
          <select value={state} onChange={(event) => setParameters({ state: event.target.value })}>
            <option value="">any</option>
            {STATES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </search>
      {operations.isPending && <Busy label="Reading the operations" />}
      {operations.isError && <ErrorNotice error={operations.error} retry={() => void operations.refetch()} />}
      {operations.data && rows.length === 0 && (
        <Nothing>
          {read.length
            ? `None of the ${counted(read.length, "operation")} that were read is in this state.`
            : NONE}
        </Nothing>
      )}
      {rows.length > 0 && <Table rows={rows} />}
      <More pages={operations} />
    </>
  );
}

const NONE =
  "There is no operation. An import or a migration starts one; it is kept for 7 days after its end.";

function Table({ rows }: { rows: readonly Operation[] }) {
  return (
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
                <a href={to.operation(one.name ?? "")}>{kindName(one.metadata)}</a>{" "}
                <code className="wide-only">{idOf(one)}</code>
              </td>
              <td>{stateName(one.metadata?.state)}</td>
              <td>
                <Progress metadata={one.metadata} />
              </td>
              <td>{one.metadata?.actor}</td>
              <td>
                <Time value={one.metadata?.create_time} />
              </td>
              <td>
                {one.metadata?.reason} {one.metadata?.change_request && `(${one.metadata.change_request})`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
