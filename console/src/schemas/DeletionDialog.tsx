import { useQueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/errors";
import { go } from "../app/location";
import { to } from "../app/routes";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import type { Schema } from "./queries";
import { userOf } from "./words";
import { deleteSchema } from "./writes";

export function DeletionDialog({ schema, onClose }: { schema: Schema; onClose: () => void }) {
  const queries = useQueryClient();
  const { name = "", version = "" } = schema;
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => deleteSchema(name, version, why, requestId),
    async () => {
      go(to.schemas(), { replace: true });
      await queries.invalidateQueries({ queryKey: ["schemas"] });
    },
  );
  return (
    <Dialog open onClose={onClose} title={`Delete ${name}`}>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <p>It is deleted with all of its versions, and cannot be brought back.</p>
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && (
          <>
            <ErrorNotice error={attempt.error} />
            <Users error={attempt.error} />
          </>
        )}
        <p className="actions">
          <button type="submit" className="danger" disabled={attempt.isPending}>
            {attempt.isPending ? "Deleting …" : "Delete"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

/** What uses the schema: some of it, if it is much. */
function Users({ error }: { error: Error }) {
  if (!(error instanceof ApiError) || error.reason !== "SCHEMA_IN_USE") return null;
  return (
    <>
      <p>Used by, among others:</p>
      <ul>
        {error.subjects.map((subject) => {
          const { text, href } = userOf(subject);
          return <li key={subject}>{href ? <a href={href}>{text}</a> : text}</li>;
        })}
      </ul>
    </>
  );
}
