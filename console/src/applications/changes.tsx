import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, read } from "../api/client";
import { ApiError } from "../api/errors";
import { go } from "../app/location";
import { to } from "../app/routes";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import type { Application } from "./ApplicationScreen";

type Props = { application: Application; open: boolean; onClose: () => void };

export function ChangeDialog({ application, open, onClose }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title={`Change ${application.name}`}>
      <ChangeForm application={application} onDone={onClose} />
    </Dialog>
  );
}

function ChangeForm({ application, onDone }: { application: Application; onDone: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState(application.name ?? "");
  const [comments, setComments] = useState(application.comments ?? "");
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => {
      const body = {
        id: application.id ?? "",
        application: { name: name.trim(), comments },
        update_mask: "name,comments",
        expected_version: application.version ?? "",
        reason: why.reason,
        change_request: why.changeRequest,
        request_id: requestId,
      };
      return read(api.POST("/api/v1/applications:update", { body }));
    },
    async () => {
      await queries.invalidateQueries();
      onDone();
      if (name.trim() !== application.name) go(to.application(name.trim()), { replace: true });
    },
  );

  function submit(event: FormEvent) {
    event.preventDefault();
    attempt.mutate();
  }

  return (
    <form onSubmit={submit} className="stacked">
      <label>
        Name
        <input value={name} onChange={(event) => setName(event.target.value)} required />
      </label>
      <label>
        Comments
        <input value={comments} onChange={(event) => setComments(event.target.value)} />
      </label>
      {name.trim() !== application.name && (
        <p className="notice warning">Whoever asks for the old name no longer finds it.</p>
      )}
      <PurposeFields value={purpose} onChange={setPurpose} />
      {attempt.isError && <ErrorNotice error={attempt.error} />}
      <p className="actions">
        <button type="submit" className="primary" disabled={attempt.isPending}>
          {attempt.isPending ? "Changing …" : "Change"}
        </button>
      </p>
    </form>
  );
}

export function DeletionDialog({ application, open, onClose }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title={`Delete ${application.name}`}>
      <DeletionForm application={application} />
    </Dialog>
  );
}

function DeletionForm({ application }: { application: Application }) {
  const queries = useQueryClient();
  const [typed, setTyped] = useState("");
  const [isForced, setIsForced] = useState(false);
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => {
      const body = {
        id: application.id ?? "",
        force: isForced,
        expected_version: application.version ?? "",
        reason: why.reason,
        change_request: why.changeRequest,
        request_id: requestId,
      };
      return read(api.POST("/api/v1/applications:delete", { body }));
    },
    async () => {
      go(to.applications(), { replace: true });
      await queries.invalidateQueries();
    },
  );
  if (!isForced && attempt.error instanceof ApiError && attempt.error.reason === "APPLICATION_NOT_EMPTY") {
    setIsForced(true);
  }
  return (
    <form
      className="stacked"
      onSubmit={(event) => {
        event.preventDefault();
        attempt.mutate();
      }}
    >
      <label>
        Type its name, {application.name}, to delete it
        <input value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" />
      </label>
      <PurposeFields value={purpose} onChange={setPurpose} />
      {attempt.isError && <ErrorNotice error={attempt.error} />}
      <p className="actions">
        <button type="submit" className="danger" disabled={typed !== application.name || attempt.isPending}>
          {attempt.isPending ? "Deleting …" : isForced ? "Delete it with all configurations" : "Delete"}
        </button>
      </p>
    </form>
  );
}
