/** One application: what it is for, who may change it, and where its configurations come from. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Model, read } from "../api/client";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { ChangeDialog, DeletionDialog } from "./changes";

export type Application = Model["Application"];

export default function ApplicationScreen({ names }: ScreenProps) {
  const session = useSession();
  const name = names.application ?? "";
  const [dialog, setDialog] = useState<"" | "change" | "delete">("");
  const application = useQuery({
    queryKey: ["application", name],
    queryFn: () => read(api.GET("/api/v1/applications/{name}", { params: { path: { name } } })),
  });
  if (application.isError)
    return <ErrorNotice error={application.error} retry={() => void application.refetch()} />;
  if (!application.data) return <Busy label="Reading the application" />;
  const isAdmin = session.may("ROLE_ADMIN", name);
  return (
    <>
      <header className="screen">
        <h1>{name}</h1>
        {isAdmin && (
          <>
            <button type="button" data-key-edit onClick={() => setDialog("change")}>
              Rename or comment
            </button>
            <button type="button" className="danger" onClick={() => setDialog("delete")}>
              Delete
            </button>
          </>
        )}
      </header>
      <p>{application.data.comments || <span className="faint">no comments</span>}</p>
      <ul className="plain links">
        <li>
          <a href={to.configurations({ application: name })}>Configurations</a>
        </li>
        {session.may("ROLE_EDITOR", name) && (
          <li>
            <a href={to.newConfiguration(name)}>New configuration</a>
          </li>
        )}
        <li>
          <a href={to.past(name)}>The past</a>
        </li>
        <li>
          <a href={to.audit({ application: name })}>Audit</a>
        </li>
        {isAdmin && (
          <li>
            <a href={to.access({ application: name })}>Access</a>
          </li>
        )}
      </ul>
      <dl className="facts">
        <dt>Id</dt>
        <dd>
          <code>{application.data.id}</code>
        </dd>
        <dt>Version</dt>
        <dd>{application.data.version}</dd>
        <dt>Created</dt>
        <dd>
          <Time value={application.data.create_time} />
        </dd>
        <dt>Changed</dt>
        <dd>
          <Time value={application.data.update_time} />
        </dd>
      </dl>
      <SourceFacts application={name} />
      <ChangeDialog application={application.data} open={dialog === "change"} onClose={() => setDialog("")} />
      <DeletionDialog
        application={application.data}
        open={dialog === "delete"}
        onClose={() => setDialog("")}
      />
    </>
  );
}

/** The Git repository that owns the application, if one does. */
function SourceFacts({ application }: { application: string }) {
  const sources = useQuery({
    queryKey: ["sources", application],
    queryFn: () => read(api.GET("/api/v1/sources", { params: { query: { application } } })),
  });
  if (sources.isError) return <ErrorNotice error={sources.error} retry={() => void sources.refetch()} />;
  const source = sources.data?.sources?.[0];
  if (!source) return null;
  return (
    <section aria-labelledby="source">
      <h2 id="source">Source</h2>
      <p className="notice warning">
        A Git repository owns this application: what you change here differs from it, and its next
        synchronization may revert it.
      </p>
      <dl className="facts">
        <dt>Repository</dt>
        <dd>{source.repository}</dd>
        <dt>Path</dt>
        <dd>{source.path || "the root"}</dd>
        <dt>Commit</dt>
        <dd>
          <code>{source.commit}</code>
        </dd>
        <dt>Applied</dt>
        <dd>
          <Time value={source.apply_time} /> by {source.applied_by}
        </dd>
      </dl>
    </section>
  );
}
