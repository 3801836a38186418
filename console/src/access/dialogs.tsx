import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, read } from "../api/client";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
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
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => {
      const body = {
        principal: principal.trim(),
        role,
        ...(forAll ? { all_applications: {} } : { application: { name: name.trim() } }),
        reason: why.reason,
        change_request: why.changeRequest,
        request_id: requestId,
      };
      return read(api.POST("/api/v1/role-bindings", { body }));
    },
    () => queries.invalidateQueries({ queryKey: ["role-bindings"] }).then(onDone),
  );

  function submit(event: FormEvent) {
    event.preventDefault();
    attempt.mutate();
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
      {attempt.isError && <ErrorNotice error={attempt.error} />}
      <p className="actions">
        <button type="submit" className="primary" disabled={attempt.isPending}>
          {attempt.isPending ? "Binding …" : "Bind"}
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
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => {
      const body = {
        id: binding.id ?? "",
        reason: why.reason,
        change_request: why.changeRequest,
        request_id: requestId,
      };
      return read(api.POST("/api/v1/role-bindings:delete", { body }));
    },
    () => queries.invalidateQueries({ queryKey: ["role-bindings"] }).then(onDone),
  );
  return (
    <>
      <p>
        <code>{binding.principal}</code> is no longer {roleName(binding.role)} of{" "}
        {binding.application?.name ?? "all applications"}. Its streams that need this role end.
      </p>
      <PurposeFields value={purpose} onChange={setPurpose} />
      {attempt.isError && <ErrorNotice error={attempt.error} />}
      <p className="actions">
        <button
          type="button"
          className="danger"
          disabled={attempt.isPending}
          onClick={() => attempt.mutate()}
        >
          {attempt.isPending ? "Deleting …" : "Delete"}
        </button>
      </p>
    </>
  );
}
