import { useQueryClient } from "@tanstack/react-query";
import { api, type Model, read } from "../api/client";
import { go } from "../app/location";
import { to } from "../app/routes";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";

export function DeletionDialog({ schema, onClose }: { schema: Model["Schema"]; onClose: () => void }) {
  const queries = useQueryClient();
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) =>
      read(
        api.POST("/api/v1/schemas:delete", {
          body: {
            id: schema.id ?? "",
            expected_version: schema.version ?? "",
            reason: why.reason,
            change_request: why.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    async () => {
      go(to.schemas(), { replace: true });
      await queries.invalidateQueries();
    },
  );
  return (
    <Dialog open onClose={onClose} title={`Delete the schema ${schema.name}`}>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <p>Only a schema that no configuration uses can be deleted, with all its versions.</p>
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="danger" disabled={attempt.isPending}>
            {attempt.isPending ? "Deleting …" : "Delete"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
