import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, read } from "../api/client";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";

type Props = { open: boolean; onClose: () => void; onCreated: (name: string) => void };

export function CreationDialog({ open, onClose, onCreated }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title="New application">
      <CreationForm onCreated={onCreated} />
    </Dialog>
  );
}

function CreationForm({ onCreated }: { onCreated: (name: string) => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [comments, setComments] = useState("");
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => {
      const body = {
        name: name.trim(),
        comments,
        reason: why.reason,
        change_request: why.changeRequest,
        request_id: requestId,
      };
      return read(api.POST("/api/v1/applications", { body }));
    },
    async (application) => {
      await queries.invalidateQueries({ queryKey: ["applications"] });
      onCreated(application.name ?? "");
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
      <PurposeFields value={purpose} onChange={setPurpose} />
      {attempt.isError && <ErrorNotice error={attempt.error} />}
      <p className="actions">
        <button type="submit" className="primary" disabled={attempt.isPending}>
          {attempt.isPending ? "Creating …" : "Create"}
        </button>
      </p>
    </form>
  );
}
