import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { api, read } from "../api/client";
import { written } from "../configuration/content";
import { Dialog } from "../parts/Dialog";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { useDifference, type Version } from "./queries";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

type Props = {
  configuration: { application: string; name: string };
  newest: Version;
  target: Version;
  onClose: () => void;
};

export function RollbackDialog({ configuration, newest, target, onClose }: Props) {
  const queries = useQueryClient();
  const now = newest.configuration?.version ?? "";
  const version = target.configuration?.version ?? "";
  const id = newest.configuration?.id ?? "";
  const difference = useDifference(configuration.application, configuration.name, now, version);
  const isDeleted = newest.type === "CHANGE_TYPE_DELETED";
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) =>
      read(
        api.POST("/api/v1/configurations/{id}:rollback", {
          params: { path: { id } },
          body: {
            version,
            ...(!isDeleted && { expected_version: now }),
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
  return (
    <Dialog open onClose={onClose} title={`Roll back to version ${version}?`} wide>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <p>This makes a new version with the content of version {version}. Nothing in the history changes.</p>
        {difference.isError && (
          <ErrorNotice error={difference.error} retry={() => void difference.refetch()} />
        )}
        {difference.isPending && <Busy label="Comparing" />}
        {difference.data && (
          <Suspense fallback={<Busy label="Comparing" />}>
            <JsonDiff
              before={difference.data.before ? written(difference.data.before) : ""}
              after={written(difference.data.after)}
              labels={[isDeleted ? "deleted" : `version ${now}, in effect`, `version ${version}`]}
            />
          </Suspense>
        )}
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="primary" disabled={attempt.isPending}>
            {attempt.isPending ? "Rolling back …" : `Roll back to version ${version}`}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
