import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, read } from "../api/client";
import { ApiError } from "../api/errors";
import { go } from "../app/location";
import { to } from "../app/routes";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { NO_PURPOSE, PurposeFields } from "../parts/Purpose";
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
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  const [requestId] = useState(() => crypto.randomUUID());
  const change = useMutation({
    mutationFn: () =>
      read(
        api.POST("/api/v1/applications:update", {
          body: {
            id: application.id ?? "",
            application: { name: name.trim(), comments },
            update_mask: "name,comments",
            expected_version: application.version ?? "",
            reason: purpose.reason,
            change_request: purpose.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    onSuccess: async () => {
      await queries.invalidateQueries();
      onDone();
      if (name.trim() !== application.name) go(to.application(name.trim()), { replace: true });
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    change.mutate();
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
      {change.isError && <ErrorNotice error={change.error} />}
      <p className="actions">
        <button type="submit" className="primary" disabled={change.isPending}>
          {change.isPending ? "Changing …" : "Change"}
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
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  const [requestId] = useState(() => crypto.randomUUID());
  const deletion = useMutation({
    mutationFn: (force: boolean) =>
      read(
        api.POST("/api/v1/applications:delete", {
          body: {
            id: application.id ?? "",
            force,
            expected_version: application.version ?? "",
            reason: purpose.reason,
            change_request: purpose.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    onSuccess: async () => {
      go(to.applications(), { replace: true });
      await queries.invalidateQueries();
    },
  });
  const isNotEmpty = deletion.error instanceof ApiError && deletion.error.reason === "APPLICATION_NOT_EMPTY";
  return (
    <form
      className="stacked"
      onSubmit={(event) => {
        event.preventDefault();
        deletion.mutate(isNotEmpty);
      }}
    >
      <label>
        Type its name, {application.name}, to delete it
        <input value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" />
      </label>
      <PurposeFields value={purpose} onChange={setPurpose} />
      {deletion.isError && <ErrorNotice error={deletion.error} />}
      <p className="actions">
        <button type="submit" className="danger" disabled={typed !== application.name || deletion.isPending}>
          {deletion.isPending ? "Deleting …" : isNotEmpty ? "Delete it with all configurations" : "Delete"}
        </button>
      </p>
    </form>
  );
}
