import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, read } from "../api/client";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { NO_PURPOSE, PurposeFields } from "../parts/Purpose";

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
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  const [requestId] = useState(() => crypto.randomUUID());
  const creation = useMutation({
    mutationFn: () =>
      read(
        api.POST("/api/v1/applications", {
          body: {
            name: name.trim(),
            comments,
            reason: purpose.reason,
            change_request: purpose.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    onSuccess: async (application) => {
      await queries.invalidateQueries({ queryKey: ["applications"] });
      onCreated(application.name ?? "");
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    creation.mutate();
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
      {creation.isError && <ErrorNotice error={creation.error} />}
      <p className="actions">
        <button type="submit" className="primary" disabled={creation.isPending}>
          {creation.isPending ? "Creating …" : "Create"}
        </button>
      </p>
    </form>
  );
}
