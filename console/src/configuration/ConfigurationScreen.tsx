/** A configuration as it is in effect, live. */
import { lazy, Suspense, useState } from "react";
import { ApiError } from "../api/errors";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { WatchBadge } from "../parts/WatchBadge";
import { useSession } from "../session/Session";
import { written } from "./content";
import { Deleted } from "./Deleted";
import { CopyLink, DeletionDialog, RestDialog } from "./dialogs";
import { draftOf } from "./drafts";
import { type Configuration, useLastChange, useLiveConfiguration } from "./queries";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

export default function ConfigurationScreen({ names }: ScreenProps) {
  const { application = "", name = "" } = names;
  const { configuration, watched } = useLiveConfiguration(application, name);
  if (configuration.error instanceof ApiError && configuration.error.status === 404) {
    return <Deleted application={application} name={name} error={configuration.error} />;
  }
  if (configuration.isError) {
    return <ErrorNotice error={configuration.error} retry={() => void configuration.refetch()} />;
  }
  if (watched.failure) return <ErrorNotice error={watched.failure} retry={watched.restart} />;
  if (!configuration.data) return <Busy label="Reading the configuration" />;
  return (
    <>
      <Header configuration={configuration.data} />
      <WatchBadge state={watched.state} revision={watched.revision} />
      <ChangedMeanwhile configuration={configuration.data} />
      <Facts configuration={configuration.data} isLit={watched.lit.size > 0} />
      <Suspense fallback={<Busy label="Loading" />}>
        <JsonEditor label="Content" text={written(configuration.data.config)} />
      </Suspense>
    </>
  );
}

/** A line that says what became of the version that the reader saw first. */
function ChangedMeanwhile({ configuration }: { configuration: Configuration }) {
  const { application = "", name = "", version = "", updated_by } = configuration;
  const [seen, setSeen] = useState({ id: configuration.id, version });
  if (seen.id !== configuration.id) setSeen({ id: configuration.id, version });
  return (
    <div role="status">
      {seen.version !== version && (
        <p className="notice warning">
          {updated_by} made version {version} while you read version {seen.version}.{" "}
          <a href={to.history(application, name, { from: seen.version, to: version })}>Compare</a>{" "}
          <button type="button" onClick={() => setSeen({ id: configuration.id, version })}>
            Seen
          </button>
        </p>
      )}
    </div>
  );
}

function Header({ configuration }: { configuration: Configuration }) {
  const session = useSession();
  const { application = "", name = "" } = configuration;
  const [dialog, setDialog] = useState<"" | "rest" | "delete">("");
  const draft = draftOf(application, name);
  return (
    <header className="screen">
      <h1>
        <a href={to.application(application)}>{application}</a>/{name}
      </h1>
      <a className="button" href={to.history(application, name)}>
        History
      </a>
      <a className="button" href={to.blame(application, name)}>
        Blame
      </a>
      {session.may("ROLE_EDITOR", application) && (
        <>
          <a className="button primary" data-key-edit href={to.edit(application, name)}>
            {draft ? `Go on with your draft from version ${draft.version}` : "Edit"}
          </a>
          <CopyLink configuration={configuration} />
          <button type="button" onClick={() => setDialog("rest")}>
            Rename, comment, pin
          </button>
          <button type="button" className="danger" onClick={() => setDialog("delete")}>
            Delete
          </button>
        </>
      )}
      {dialog === "rest" && <RestDialog configuration={configuration} onClose={() => setDialog("")} />}
      {dialog === "delete" && <DeletionDialog configuration={configuration} onClose={() => setDialog("")} />}
    </header>
  );
}

function Facts({ configuration, isLit }: { configuration: Configuration; isLit: boolean }) {
  const { application = "", name = "", schema } = configuration;
  const last = useLastChange(application, name, configuration.version);
  const origin = last.data?.origin;
  return (
    <dl className={isLit ? "facts lit" : "facts"}>
      <dt>Changed</dt>
      <dd>
        <Time value={configuration.update_time} /> by {configuration.updated_by}
      </dd>
      <dt>Why</dt>
      <dd>
        {origin?.reason || <span className="faint">no reason was given</span>}
        {origin?.change_request && ` (${origin.change_request})`}
      </dd>
      <dt>Version</dt>
      <dd>
        {configuration.version}, at revision {configuration.revision}
      </dd>
      <dt>Schema</dt>
      <dd>
        {schema?.schema ? (
          <a href={to.schema(schema.schema, { version: schema.version })}>
            {schema.schema}, version {schema.version}
          </a>
        ) : (
          <span className="faint">none: any content is accepted</span>
        )}
      </dd>
      {configuration.comments && (
        <>
          <dt>Comments</dt>
          <dd>{configuration.comments}</dd>
        </>
      )}
      <dt>Id</dt>
      <dd>
        <code>{configuration.id}</code>
      </dd>
    </dl>
  );
}
