import { useQueryClient } from "@tanstack/react-query";
import { api, read } from "../api/client";
import { ApiError } from "../api/errors";
import type { Key } from "../configuration/writes";
import { Dialog } from "../parts/Dialog";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { Comparison, RESTORED } from "./Comparison";
import { usePair, type Version } from "./queries";

type Props = { of: Key; newest: Version; version: string; onClose: () => void };

export function RollbackDialog({ of, newest, version, onClose }: Props) {
  const queries = useQueryClient();
  const now = newest.configuration?.version ?? "";
  const isDeleted = newest.type === "CHANGE_TYPE_DELETED";
  const pair = usePair(of.application, of.name, now, version);
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) =>
      read(
        api.POST("/api/v1/configurations/{id}:rollback", {
          params: { path: { id: newest.configuration?.id ?? "" } },
          body: {
            version,
            // Of a deleted one, the version of the deletion.
            expected_version: now,
            reason: why.reason,
            change_request: why.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    async () => {
      await queries.invalidateQueries();
      onClose();
    },
  );
  const isOutdated = attempt.error instanceof ApiError && attempt.error.reason === "VERSION_MISMATCH";

  async function readAgain() {
    await queries.invalidateQueries({ queryKey: ["versions", of.application, of.name] });
    attempt.reset();
  }

  return (
    <Dialog open onClose={onClose} title={`Roll back to version ${version}?`} wide>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <p>
          This makes a new version with the content, the comments and the schema of version {version}; the
          content must satisfy the newest version of that schema.
          {isDeleted && " The configuration is deleted: it comes back with its last name."}
        </p>
        {pair.isPending && <Busy label="Comparing" />}
        {pair.isError && <ErrorNotice error={pair.error} retry={() => void pair.refetch()} />}
        {pair.data && (
          <Comparison
            before={pair.data.before}
            after={pair.data.after}
            labels={[isDeleted ? "deleted" : `version ${now}, in effect`, `version ${version}`]}
            facts={RESTORED}
          />
        )}
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          {isOutdated ? (
            <button type="button" className="primary" onClick={() => void readAgain()}>
              Compare with the newest version
            </button>
          ) : (
            <button type="submit" className="primary" disabled={attempt.isPending || !pair.data}>
              {attempt.isPending ? "Rolling back …" : `Roll back to version ${version}`}
            </button>
          )}
        </p>
      </form>
    </Dialog>
  );
}
