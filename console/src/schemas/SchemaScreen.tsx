/** A schema: its versions, the document of one, and how two differ. */
import { lazy, Suspense, useState } from "react";
import { useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { hasDraft } from "../configuration/drafts";
import { More } from "../parts/More";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { AdditionList } from "./AdditionList";
import { DeletionDialog } from "./DeletionDialog";
import { type Schema, useSchema, useSchemaVersion, useSchemaVersions } from "./queries";
import { draftKey } from "./words";
import { additionsOf } from "./writes";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);
const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

export default function SchemaScreen({ names }: ScreenProps) {
  const { name = "" } = names;
  const [parameters] = useParameters();
  const schema = useSchema(name);
  if (schema.isError && !schema.data) {
    return <ErrorNotice error={schema.error} retry={() => void schema.refetch()} />;
  }
  if (!schema.data) return <Busy label="Reading the schema" />;
  const shown = parameters.get("version") || schema.data.latest_version || "";
  const from = parameters.get("from") ?? "";
  return (
    <>
      <Header schema={schema.data} />
      <Facts schema={schema.data} />
      <Document name={name} version={shown} from={from} />
      <Versions name={name} shown={shown} from={from} />
    </>
  );
}

function Header({ schema }: { schema: Schema }) {
  const { name = "" } = schema;
  const session = useSession();
  const [isDeleting, setIsDeleting] = useState(false);
  const mayMigrate =
    session.may("ROLE_EDITOR") || session.caller.application_roles?.some((one) => one.role !== "ROLE_VIEWER");
  return (
    <header className="screen">
      <h1>{name}</h1>
      <a className="button" href={to.configurations({ schema: name })}>
        Its configurations
      </a>
      {mayMigrate && (
        <a className="button" href={to.migration(name)}>
          Migrate configurations
        </a>
      )}
      {session.may("ROLE_ADMIN") && (
        <>
          <a className="button primary" data-key-edit href={to.newSchemaVersion(name)}>
            {hasDraft(draftKey(name)) ? "Go on with your draft" : "New version"}
          </a>
          <button type="button" className="danger" onClick={() => setIsDeleting(true)}>
            Delete
          </button>
        </>
      )}
      {isDeleting && <DeletionDialog schema={schema} onClose={() => setIsDeleting(false)} />}
    </header>
  );
}

function Facts({ schema }: { schema: Schema }) {
  return (
    <>
      {schema.comments && <p>{schema.comments}</p>}
      <dl className="facts">
        <dt>Newest version</dt>
        <dd>{schema.latest_version}</dd>
        <dt>Created</dt>
        <dd>
          <Time value={schema.create_time} />
        </dd>
        <dt>Changed</dt>
        <dd>
          <Time value={schema.update_time} />, at revision {schema.revision}
        </dd>
      </dl>
    </>
  );
}

function Document({ name, version, from }: { name: string; version: string; from: string }) {
  const [, setParameters] = useParameters();
  const shown = useSchemaVersion(name, version);
  const before = useSchemaVersion(name, from);
  const error = shown.error ?? before.error;
  if (error) {
    return (
      <ErrorNotice
        error={error}
        retry={() => {
          void shown.refetch();
          if (from) void before.refetch();
        }}
      />
    );
  }
  if (!shown.data || (from && !before.data)) return <Busy label="Reading the document" />;
  return (
    <section aria-labelledby="document">
      <header className="screen">
        <h2 id="document">{from ? `From version ${from} to version ${version}` : `Version ${version}`}</h2>
        {from && (
          <button type="button" onClick={() => setParameters({ from: "" })}>
            Close the comparison
          </button>
        )}
      </header>
      <AdditionList additions={additionsOf(shown.data)} verb="added" />
      <Suspense fallback={<Busy label="Loading the editor" />}>
        {before.data && from ? (
          <JsonDiff
            before={before.data.text}
            after={shown.data.text}
            labels={[`version ${from}`, `version ${version}`]}
          />
        ) : (
          <JsonEditor label="Document" text={shown.data.text} />
        )}
      </Suspense>
    </section>
  );
}

function Versions({ name, shown, from }: { name: string; shown: string; from: string }) {
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
              <th scope="col" className="number">
                Revision
              </th>
              <th scope="col">Compare</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ version = "", ...one }) => (
              <tr key={version}>
                <td>
                  <a
                    href={to.schema(name, { version })}
                    aria-current={version === shown ? "true" : undefined}
                  >
                    version {version}
                  </a>
                </td>
                <td>{one.created_by}</td>
                <td>
                  <Time value={one.create_time} />
                </td>
                <td className="number">{one.revision}</td>
                <td>
                  {version !== shown && version !== from && (
                    <a href={to.schema(name, compared(version, shown))}>with version {shown}</a>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <More pages={versions} />
    </section>
  );
}

/** Return the parameters that compare two versions, the older one first. */
function compared(one: string, other: string) {
  return Number(one) < Number(other) ? { from: one, version: other } : { from: other, version: one };
}
