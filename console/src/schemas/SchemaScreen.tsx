/** A schema: its versions, what the service added to each, and what a new one would break. */
import { lazy, Suspense, useState } from "react";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { written } from "../configuration/content";
import { More } from "../parts/More";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { Additions } from "./Additions";
import { DeletionDialog } from "./DeletionDialog";
import { NewVersion } from "./NewVersion";
import { useSchema, useSchemaVersion, useSchemaVersions } from "./queries";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);
const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

export default function SchemaScreen({ names }: ScreenProps) {
  const name = names.schema ?? "";
  const session = useSession();
  const [parameters, setParameters] = useParameters();
  const [isDeleting, setIsDeleting] = useState(false);
  const schema = useSchema(name);
  if (schema.isError) return <ErrorNotice error={schema.error} retry={() => void schema.refetch()} />;
  if (!schema.data) return <Busy label="Reading the schema" />;
  const latest = schema.data.latest_version ?? "";
  const shown = parameters.get("version") ?? latest;
  const isEditing = parameters.get("edit") === "1";
  const isAdmin = session.may("ROLE_ADMIN");
  return (
    <>
      <header className="screen">
        <h1>{name}</h1>
        <span className="badge">latest version {latest}</span>
        {isAdmin && !isEditing && (
          <button
            type="button"
            className="primary"
            data-key-edit
            onClick={() => setParameters({ edit: "1" }, { replace: false })}
          >
            New version
          </button>
        )}
        <a className="button" href={to.configurations({ schema: name })}>
          Configurations
        </a>
        {isAdmin && (
          <>
            <a className="button" href={to.migration(name)}>
              Migrate
            </a>
            <button type="button" className="danger" onClick={() => setIsDeleting(true)}>
              Delete
            </button>
          </>
        )}
      </header>
      {schema.data.comments && <p>{schema.data.comments}</p>}
      {isEditing && isAdmin ? (
        <NewVersion schema={schema.data} onDone={() => setParameters({ edit: "", version: "" })} />
      ) : (
        <Shown name={name} version={shown} compared={parameters.get("with") ?? ""} />
      )}
      <Versions
        name={name}
        shown={shown}
        compared={parameters.get("with") ?? ""}
        onChoose={(changes) => setParameters({ ...changes, edit: "" })}
      />
      {isDeleting && <DeletionDialog schema={schema.data} onClose={() => setIsDeleting(false)} />}
    </>
  );
}

function Shown({ name, version, compared }: { name: string; version: string; compared: string }) {
  const first = useSchemaVersion(name, version);
  const second = useSchemaVersion(name, compared);
  const error = first.error ?? second.error;
  if (error) return <ErrorNotice error={error} />;
  if (!first.data || (compared && !second.data)) return <Busy label="Reading the version" />;
  return (
    <Suspense fallback={<Busy label="Loading" />}>
      {second.data ? (
        <JsonDiff
          before={written(second.data.document)}
          after={written(first.data.document)}
          labels={[`version ${compared}`, `version ${version}`]}
        />
      ) : (
        <JsonEditor label={`Version ${version}`} text={written(first.data.document)} />
      )}
      <Additions additions={first.data.additions ?? []} count={Number(first.data.addition_count ?? 0)} />
    </Suspense>
  );
}

type VersionsProps = {
  name: string;
  shown: string;
  compared: string;
  onChoose: (changes: { version?: string; with?: string }) => void;
};

function Versions({ name, shown, compared, onChoose }: VersionsProps) {
  const versions = useSchemaVersions(name);
  const rows = versions.data?.pages.flatMap((page) => page.versions ?? []) ?? [];
  return (
    <section aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      {versions.isPending && <Busy label="Reading the versions" />}
      {versions.isError && <ErrorNotice error={versions.error} retry={() => void versions.refetch()} />}
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col">By</th>
              <th scope="col">When</th>
              <th scope="col">Shown</th>
              <th scope="col">Compared with</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((one) => {
              const version = one.version ?? "";
              return (
                <tr key={version}>
                  <td>{version}</td>
                  <td>{one.created_by}</td>
                  <td>
                    <Time value={one.create_time} />
                  </td>
                  <td>
                    <input
                      type="radio"
                      name="shown"
                      aria-label={`Show version ${version}`}
                      checked={shown === version}
                      onChange={() => onChoose({ version })}
                    />
                  </td>
                  <td>
                    <input
                      type="checkbox"
                      aria-label={`Compare with version ${version}`}
                      checked={compared === version}
                      onChange={(event) => onChoose({ with: event.target.checked ? version : "" })}
                    />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <More pages={versions} />
    </section>
  );
}
