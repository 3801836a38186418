/** A configuration as it is in effect, live. */
import { lazy, Suspense, useState } from "react";
import { ApiError } from "../api/errors";
import type { Watched } from "../api/useWatch";
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
  if (!configuration.data) {
    if (!configuration.isError) return <Busy label="Reading the configuration" />;
    return <ErrorNotice error={configuration.error} retry={() => void configuration.refetch()} />;
  }
  return (
    <>
      {configuration.isError && (
        <ErrorNotice error={configuration.error} retry={() => void configuration.refetch()} />
      )}
      {watched.failure && <ErrorNotice error={watched.failure} retry={watched.restart} />}
      <Shown configuration={configuration.data} watched={watched} key={configuration.data.id} />
    </>
  );
}

function Shown({ configuration, watched }: { configuration: Configuration; watched: Watched }) {
  const [seen, setSeen] = useState(configuration.version ?? "");
  return (
    <>
      <Header configuration={configuration} onChanged={setSeen} />
      <WatchBadge state={watched.state} revision={watched.revision} />
      <ChangedMeanwhile configuration={configuration} seen={seen} onSeen={setSeen} />
      <Facts configuration={configuration} isLit={watched.lit.size > 0} />
      <Suspense fallback={<Busy label="Loading" />}>
        <JsonEditor label="Content" text={written(configuration.config)} />
      </Suspense>
    </>
  );
}

type MeanwhileProps = { configuration: Configuration; seen: string; onSeen: (version: string) => void };

/** A line that says what somebody else made of the version that the reader saw. */
function ChangedMeanwhile({ configuration, seen, onSeen }: MeanwhileProps) {
  const { application = "", name = "", version = "", updated_by } = configuration;
  return (
    <div role="status">
      {Number(version) > Number(seen) && (
        <p className="notice warning">
          {updated_by} made version {version} while you read version {seen}.{" "}
          <a href={to.history(application, name, { from: seen, to: version })}>Compare</a>{" "}
          <button type="button" onClick={() => onSeen(version)}>
            Seen
          </button>
        </p>
      )}
    </div>
  );
}

type HeaderProps = { configuration: Configuration; onChanged: (version: string) => void };

function Header({ configuration, onChanged }: HeaderProps) {
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
      {dialog === "rest" && (
        <RestDialog configuration={configuration} onChanged={onChanged} onClose={() => setDialog("")} />
      )}
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
