import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, read } from "../api/client";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { NO_PURPOSE, PurposeFields } from "../parts/Purpose";
import { useSession } from "../session/Session";
import type { Binding } from "./Bindings";
import { ROLES, type RoleName, roleName } from "./roles";

type Props = { open: boolean; onClose: () => void };

export function BindingDialog({ open, onClose, application }: Props & { application: string }) {
  return (
    <Dialog open={open} onClose={onClose} title="Bind a role">
      <BindingForm onDone={onClose} application={application} />
    </Dialog>
  );
}

function BindingForm({ onDone, application }: { onDone: () => void; application: string }) {
  const session = useSession();
  const queries = useQueryClient();
  const [principal, setPrincipal] = useState("");
  const [role, setRole] = useState<RoleName>("ROLE_VIEWER");
  const [name, setName] = useState(application);
  const [forAll, setForAll] = useState(false);
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  const [requestId] = useState(() => crypto.randomUUID());
  const binding = useMutation({
    mutationFn: () =>
      read(
        api.POST("/api/v1/role-bindings", {
          body: {
            principal: principal.trim(),
            role,
            ...(forAll ? { all_applications: {} } : { application: { name: name.trim() } }),
            reason: purpose.reason,
            change_request: purpose.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["role-bindings"] }).then(onDone),
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    binding.mutate();
  }

  return (
    <form onSubmit={submit} className="stacked">
      <label>
        Principal
        <input
          value={principal}
          onChange={(event) => setPrincipal(event.target.value)}
          placeholder="user:ada, group:ops, certificate:ci"
          required
        />
      </label>
      <label>
        Role
        <select value={role} onChange={(event) => setRole(event.target.value as RoleName)}>
          {ROLES.map(([value, label, text]) => (
            <option key={value} value={value}>
              {label}: {text}
            </option>
          ))}
        </select>
      </label>
      {session.may("ROLE_ADMIN") && (
        <label className="check">
          <input type="checkbox" checked={forAll} onChange={(event) => setForAll(event.target.checked)} /> For
          all applications, also future ones
        </label>
      )}
      {!forAll && (
        <label>
          Application
          <input value={name} onChange={(event) => setName(event.target.value)} required />
        </label>
      )}
      <PurposeFields value={purpose} onChange={setPurpose} />
      {binding.isError && <ErrorNotice error={binding.error} />}
      <p className="actions">
        <button type="submit" className="primary" disabled={binding.isPending}>
          {binding.isPending ? "Binding …" : "Bind"}
        </button>
      </p>
    </form>
  );
}

export function DeletionDialog({ binding, onClose }: { binding: Binding | undefined; onClose: () => void }) {
  return (
    <Dialog open={binding !== undefined} onClose={onClose} title="Delete a role binding">
      {binding && <DeletionForm binding={binding} onDone={onClose} />}
    </Dialog>
  );
}

function DeletionForm({ binding, onDone }: { binding: Binding; onDone: () => void }) {
  const queries = useQueryClient();
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  const [requestId] = useState(() => crypto.randomUUID());
  const deletion = useMutation({
    mutationFn: () =>
      read(
        api.POST("/api/v1/role-bindings:delete", {
          body: {
            id: binding.id ?? "",
            reason: purpose.reason,
            change_request: purpose.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["role-bindings"] }).then(onDone),
  });
  return (
    <>
      <p>
        <code>{binding.principal}</code> is no longer {roleName(binding.role)} of{" "}
        {binding.application?.name ?? "all applications"}. Its streams that need this role end.
      </p>
      <PurposeFields value={purpose} onChange={setPurpose} />
      {deletion.isError && <ErrorNotice error={deletion.error} />}
      <p className="actions">
        <button
          type="button"
          className="danger"
          disabled={deletion.isPending}
          onClick={() => deletion.mutate()}
        >
          {deletion.isPending ? "Deleting …" : "Delete"}
        </button>
      </p>
    </>
  );
}
