/** All schemas. */
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { type Schema, useSchemas } from "./queries";

export default function SchemasScreen() {
  const session = useSession();
  const [parameters, setParameters] = useParameters();
  const prefix = parameters.get("prefix") ?? "";
  const schemas = useSchemas(prefix);
  const rows = schemas.data?.pages.flatMap((page) => page.schemas ?? []) ?? [];
  return (
    <>
      <header className="screen">
        <h1>Schemas</h1>
        {session.may("ROLE_ADMIN") && (
          <a className="button" href={to.newSchema()}>
            New schema
          </a>
        )}
      </header>
      <search className="filters">
        <label>
          Name begins with{" "}
          <input
            type="search"
            value={prefix}
            onChange={(event) => setParameters({ prefix: event.target.value })}
          />
        </label>
      </search>
      {schemas.isPending && <Busy label="Reading the schemas" />}
      {schemas.isError && <ErrorNotice error={schemas.error} retry={() => void schemas.refetch()} />}
      {schemas.data && rows.length === 0 && (
        <Nothing>{prefix ? "No schema has such a name." : "There is no schema yet."}</Nothing>
      )}
      {rows.length > 0 && <Table rows={rows} />}
      <More pages={schemas} />
    </>
  );
}

function Table({ rows }: { rows: readonly Schema[] }) {
  return (
    <div className="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" className="number">
              Newest version
            </th>
            <th scope="col">Comments</th>
            <th scope="col">Changed</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((one) => (
            <tr key={one.id}>
              <td>
                <a href={to.schema(one.name ?? "")}>{one.name}</a>
              </td>
              <td className="number">{one.latest_version}</td>
              <td>{one.comments}</td>
              <td>
                <Time value={one.update_time} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
