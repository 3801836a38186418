import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { ApiError } from "../api/errors";
import { to } from "../app/routes";
import { Dialog } from "../parts/Dialog";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { Time } from "../parts/Time";
import { useAttempt } from "../parts/useAttempt";
import { useSession } from "../session/Session";
import { type Configuration, useDeleted } from "./queries";
import { undelete } from "./writes";

/** The place of a configuration that is not there; it may have been deleted. */
export function Deleted({
  application,
  name,
  error,
}: {
  application: string;
  name: string;
  error: ApiError;
}) {
  const session = useSession();
  const deleted = useDeleted(application, name, true);
  const [isAsking, setIsAsking] = useState(false);
  if (deleted.isPending) return <Busy label="Looking for it among the deleted" />;
  if (!deleted.data?.delete_time) return <ErrorNotice error={error} />;
  return (
    <>
      <header className="screen">
        <h1>
          {application}/{name}
        </h1>
        <span className="badge watch-lost">deleted</span>
      </header>
      <p>
        It was deleted <Time value={deleted.data.delete_time} /> by {deleted.data.updated_by}.
      </p>
      <p className="actions">
        <a className="button" href={to.history(application, name)}>
          History
        </a>
        {session.may("ROLE_EDITOR", application) && (
          <button type="button" className="primary" onClick={() => setIsAsking(true)}>
            Undelete …
          </button>
        )}
      </p>
      {isAsking && <UndeletionDialog configuration={deleted.data} onClose={() => setIsAsking(false)} />}
    </>
  );
}

function UndeletionDialog({ configuration, onClose }: { configuration: Configuration; onClose: () => void }) {
  const queries = useQueryClient();
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => undelete(configuration.id ?? "", why, requestId),
    () => queries.invalidateQueries(),
  );
  return (
    <Dialog open onClose={onClose} title={`Undelete ${configuration.name}`}>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <p>It comes back with its last content, as a new version.</p>
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="primary" disabled={attempt.isPending}>
            {attempt.isPending ? "Undeleting …" : "Undelete"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
