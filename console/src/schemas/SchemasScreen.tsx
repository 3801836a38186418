/** All schemas. */
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { TextFilter } from "../parts/TextFilter";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { useSchemas } from "./queries";

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
        <TextFilter
          label="Name begins with"
          value={prefix}
          onApply={(value) => setParameters({ prefix: value })}
        />
      </search>
      {schemas.isPending && <Busy label="Reading the schemas" />}
      {schemas.isError && <ErrorNotice error={schemas.error} retry={() => void schemas.refetch()} />}
      {schemas.data && rows.length === 0 && <Nothing>There is no such schema.</Nothing>}
      {rows.length > 0 && (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Comments</th>
                <th scope="col" className="number">
                  Latest version
                </th>
                <th scope="col">Changed</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((one) => (
                <tr key={one.id}>
                  <td>
                    <a href={to.schema(one.name ?? "")}>{one.name}</a>
                  </td>
                  <td>{one.comments}</td>
                  <td className="number">{one.latest_version}</td>
                  <td>
                    <Time value={one.update_time} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <More pages={schemas} />
    </>
  );
}
