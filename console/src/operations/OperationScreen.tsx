/** An operation: its progress, its end and its items. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { go } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { Dialog } from "../parts/Dialog";
import { ErrorNotice } from "../parts/notices";
import { kindName } from "./items";
import { OperationView } from "./OperationView";
import { cancel, type Operation, remove, useOperation } from "./queries";

export default function OperationScreen({ names }: ScreenProps) {
  const { name = "" } = names;
  const operation = useOperation(name);
  return (
    <>
      <header className="screen">
        <h1>{operation.data ? `Operation: ${kindName(operation.data.metadata)}` : "Operation"}</h1>
        {operation.data && <Actions id={name} operation={operation.data} />}
        <a href={to.operations()}>All operations</a>
      </header>
      <OperationView id={name} />
    </>
  );
}

function Actions({ id, operation }: { id: string; operation: Operation }) {
  const queries = useQueryClient();
  const [isAsking, setIsAsking] = useState(false);
  const cancellation = useMutation({
    mutationFn: () => cancel(id),
    onSettled: () => queries.invalidateQueries({ queryKey: ["operation", id] }),
  });
  const deletion = useMutation({
    mutationFn: () => remove(id),
    onSuccess: () => go(to.operations(), { replace: true }),
  });
  const isEnding = operation.metadata?.state === "STATE_CANCELLING";
  if (!operation.done) {
    return (
      <>
        <button
          type="button"
          className="danger"
          disabled={cancellation.isPending || isEnding}
          onClick={() => cancellation.mutate()}
        >
          {cancellation.isPending || isEnding ? "Cancelling …" : "Cancel"}
        </button>
        {cancellation.isError && <ErrorNotice error={cancellation.error} />}
      </>
    );
  }
  return (
    <>
      <button type="button" className="danger" onClick={() => setIsAsking(true)}>
        Delete
      </button>
      <Dialog open={isAsking} onClose={() => setIsAsking(false)} title="Delete this operation">
        <p>Its items go with it. What it changed stays, with its history.</p>
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
      </Dialog>
    </>
  );
}
