/** The state of the service, and who watches. */
import { useQuery } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { useSession } from "../session/Session";
import { Watches } from "./Watches";
import { lagText } from "./words";

const REFRESH_MILLISECONDS = 2_000;

type Status = Model["GetServerStatusResponse"];

export default function StatusScreen() {
  const session = useSession();
  const status = useQuery({
    queryKey: ["status"],
    queryFn: () => read(api.GET("/api/v1/status")),
    refetchInterval: REFRESH_MILLISECONDS,
  });
  return (
    <>
      <header className="screen">
        <h1>Status</h1>
        {status.data && <Badge status={status.data} isAway={status.isError} />}
      </header>
      {status.isError && <ErrorNotice error={status.error} />}
      {status.isPending && <Busy label="Asking the service" />}
      {status.data && <Facts status={status.data} />}
      {session.may("ROLE_ADMIN") ? (
        <Watches />
      ) : (
        <p className="faint">Who watches is shown to admins of all applications.</p>
      )}
    </>
  );
}

function Badge({ status, isAway }: { status: Status; isAway: boolean }) {
  if (isAway) return <span className="badge watch-lost">not reached: what is shown was true before</span>;
  if (!status.live) return <span className="badge watch-lost">receives no new commits now</span>;
  return <span className="badge watch-live">live</span>;
}

function Facts({ status }: { status: Status }) {
  const { settings } = useSession();
  const limits = status.limits ?? {};
  return (
    <>
      <dl className="facts">
        <dt>Version</dt>
        <dd>{status.version}</dd>
        <dt>Head revision</dt>
        <dd>
          {status.head_revision === "0" ? "unknown: the database does not respond" : status.head_revision}
        </dd>
        <dt>Delivered revision</dt>
        <dd>{status.revision}</dd>
        <dt>Feed lag</dt>
        <dd>{lagText(status.feed_lag)}</dd>
        <dt>First kept revision</dt>
        <dd>{status.compacted_revision === "0" ? "1: the whole history" : status.compacted_revision}</dd>
        <dt>Workers</dt>
        <dd>{status.worker_count}</dd>
        <dt>Authentication</dt>
        <dd>{settings.authentication.join(", ")}</dd>
        <dt>Epoch</dt>
        <dd>
          <code>{status.epoch}</code>
        </dd>
        <dt>Clock of the server</dt>
        <dd>
          <Time value={status.server_time} /> ({status.server_time})
        </dd>
      </dl>
      <details>
        <summary>Limits</summary>
        <dl className="facts">
          {Object.entries(limits).map(([name, value]) => (
            <div key={name} className="pair">
              <dt>{name.replaceAll("_", " ")}</dt>
              <dd>{Number(value).toLocaleString("en")}</dd>
            </div>
          ))}
        </dl>
      </details>
    </>
  );
}
