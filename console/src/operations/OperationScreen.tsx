/** An operation: its progress, its faults, and what it changed or would change. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { api, type Model, read } from "../api/client";
import { ApiError } from "../api/errors";
import { go, useParameters } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { written } from "../configuration/content";
import { typeName } from "../history/words";
import { More } from "../parts/More";
import { Busy, ErrorNotice, Nothing } from "../parts/notices";
import { Time } from "../parts/Time";
import { Progress } from "./Progress";
import { type Operation, useItems, useOperation } from "./queries";
import { kindOf, stateOf } from "./words";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

export default function OperationScreen({ names }: ScreenProps) {
  const id = names.operation ?? "";
  const [parameters, setParameters] = useParameters();
  const operation = useOperation(id);
  if (operation.isError && !operation.data) {
    return <ErrorNotice error={operation.error} retry={() => void operation.refetch()} />;
  }
  if (!operation.data) return <Busy label="Reading the operation" />;
  const failedOnly = parameters.get("failed") === "1";
  return (
    <>
      <Header id={id} operation={operation.data} />
      {operation.isError && <ErrorNotice error={operation.error} />}
      <Facts operation={operation.data} />
      <label className="check">
        <input
          type="checkbox"
          checked={failedOnly}
          onChange={(event) => setParameters({ failed: event.target.checked ? "1" : "" })}
        />{" "}
        Only what failed
      </label>
      <Items id={id} failedOnly={failedOnly} done={operation.data.done ?? false} />
    </>
  );
}

function Header({ id, operation }: { id: string; operation: Operation }) {
  const queries = useQueryClient();
  const path = { operation: id };
  const cancellation = useMutation({
    mutationFn: () => read(api.POST("/api/v1/operations/{operation}:cancel", { params: { path }, body: {} })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["operation", id] }),
  });
  const deletion = useMutation({
    mutationFn: () => read(api.DELETE("/api/v1/operations/{operation}", { params: { path } })),
    onSuccess: async () => {
      go(to.operations(), { replace: true });
      await queries.invalidateQueries({ queryKey: ["operations"] });
    },
  });
  const error = cancellation.error ?? deletion.error;
  return (
    <>
      <header className="screen">
        <h1>{kindOf(operation)}</h1>
        <span className={`badge state-${stateOf(operation)}`} role="status">
          {stateOf(operation)}
        </span>
        {operation.done ? (
          <button type="button" disabled={deletion.isPending} onClick={() => deletion.mutate()}>
            {deletion.isPending ? "Deleting …" : "Delete its record"}
          </button>
        ) : (
          <button
            type="button"
            className="danger"
            disabled={cancellation.isPending}
            onClick={() => cancellation.mutate()}
          >
            {cancellation.isPending ? "Cancelling …" : "Cancel"}
          </button>
        )}
      </header>
      {error && <ErrorNotice error={error} />}
    </>
  );
}

function Facts({ operation }: { operation: Operation }) {
  const { actor, reason, change_request, create_time, end_time } = operation.metadata ?? {};
  const { message } = operation.error ?? {};
  return (
    <>
      {message && <ErrorNotice error={new ApiError(message, 200, "ITEMS_FAILED", {}, [], undefined)} />}
      <dl className="facts">
        <dt>Progress</dt>
        <dd>
          <Progress operation={operation} />
        </dd>
        <dt>By</dt>
        <dd>{actor}</dd>
        <dt>Why</dt>
        <dd>
          {reason || <span className="faint">no reason was given</span>}{" "}
          {change_request && `(${change_request})`}
        </dd>
        <dt>Began</dt>
        <dd>
          <Time value={create_time} />
        </dd>
        {end_time && (
          <>
            <dt>Ended</dt>
            <dd>
              <Time value={end_time} />
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

function Items({ id, failedOnly, done }: { id: string; failedOnly: boolean; done: boolean }) {
  const items = useItems(id, failedOnly, done);
  const rows = items.data?.pages.flatMap((page) => page.items ?? []) ?? [];
  return (
    <section aria-labelledby="items">
      <h2 id="items">Items</h2>
      {items.isPending && <Busy label="Reading the items" />}
      {items.isError && <ErrorNotice error={items.error} retry={() => void items.refetch()} />}
      {items.data && rows.length === 0 && (
        <Nothing>{failedOnly ? "Nothing failed." : "There are no items."}</Nothing>
      )}
      <ul className="plain items">
        {rows.map((one) => (
          <Item key={one.index} item={one} />
        ))}
      </ul>
      <More pages={items} />
    </section>
  );
}

function Item({ item }: { item: Model["OperationItem"] }) {
  const [isOpen, setIsOpen] = useState(false);
  const { application = "", name = "", before, after, error, faults = [] } = item;
  return (
    <li>
      <a href={to.configuration(application, name)}>
        {application}/{name}
      </a>{" "}
      {error?.message ? (
        <strong className="failed">{error.message}</strong>
      ) : (
        typeName(item.type) || "unchanged"
      )}{" "}
      {(before || after) && (
        <button type="button" className="quiet" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
          {isOpen ? "Hide the change" : "Show the change"}
        </button>
      )}
      {faults.length > 0 && (
        <ul>
          {faults.map((fault) => (
            <li key={`${fault.pointer} ${fault.keyword} ${fault.message}`}>
              <code>{fault.pointer || "the content"}</code>: {fault.message}
            </li>
          ))}
        </ul>
      )}
      {isOpen && (
        <Suspense fallback={<Busy label="Comparing" />}>
          <JsonDiff
            before={before ? written(before) : ""}
            after={after ? written(after) : ""}
            labels={["before", "after"]}
          />
        </Suspense>
      )}
    </li>
  );
}
