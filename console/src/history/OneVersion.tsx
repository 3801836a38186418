import { lazy, Suspense } from "react";
import { to } from "../app/routes";
import { written } from "../configuration/content";
import type { Configuration } from "../configuration/queries";
import type { Key } from "../configuration/writes";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { useVersion } from "./queries";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

/** One version as it was. */
export function OneVersion({ of, version, onClose }: { of: Key; version: string; onClose: () => void }) {
  const found = useVersion(of.application, of.name, version);
  return (
    <section aria-labelledby="one-version">
      <header className="screen">
        <h2 id="one-version">Version {version}</h2>
        <a className="button" href={to.history(of.application, of.name, { to: version })}>
          What it changed
        </a>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </header>
      {found.isPending && <Busy label="Reading the version" />}
      {found.isError && <ErrorNotice error={found.error} retry={() => void found.refetch()} />}
      {found.data === null && <Nothing>There is no such version, or it is a deletion.</Nothing>}
      {found.data && <PastConfiguration configuration={found.data} />}
    </section>
  );
}

/** A configuration as it was: its facts and its content. */
export function PastConfiguration({ configuration }: { configuration: Configuration }) {
  const { schema } = configuration;
  return (
    <>
      <dl className="facts">
        <dt>Name</dt>
        <dd>{`${configuration.application}/${configuration.name}`}</dd>
        <dt>Version</dt>
        <dd>
          {configuration.version}, at revision {configuration.revision}
        </dd>
        <dt>Changed</dt>
        <dd>
          <Time value={configuration.update_time} exact /> by {configuration.updated_by}
        </dd>
        <dt>Schema</dt>
        <dd>
          {schema?.schema ? (
            <a href={to.schema(schema.schema, { version: schema.version })}>
              {schema.schema}, version {schema.version}
            </a>
          ) : (
            <span className="faint">none</span>
          )}
        </dd>
        {configuration.comments && (
          <>
            <dt>Comments</dt>
            <dd>{configuration.comments}</dd>
          </>
        )}
      </dl>
      <Suspense fallback={<Busy label="Loading" />}>
        <JsonEditor label="Content" text={written(configuration.config)} />
      </Suspense>
    </>
  );
}
