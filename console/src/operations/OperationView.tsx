import type { Model } from "../api/client";
import { toApiError } from "../api/errors";
import { useParameters } from "../app/location";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { ItemTable } from "./ItemTable";
import { stateName } from "./items";
import { Progress } from "./Progress";
import { type Operation, useOperation } from "./queries";

/** An operation as it goes on, with its items. */
export function OperationView({ id }: { id: string }) {
  const [parameters, setParameters] = useParameters();
  const operation = useOperation(id);
  const { data } = operation;
  if (!data) {
    if (operation.isError)
      return <ErrorNotice error={operation.error} retry={() => void operation.refetch()} />;
    return <Busy label="Reading the operation" />;
  }
  return (
    <>
      {operation.isError && <ErrorNotice error={operation.error} retry={() => void operation.refetch()} />}
      <p role="status">
        <strong>{stateName(data.metadata?.state)}</strong> <Progress metadata={data.metadata} />
      </p>
      <Ending operation={data} />
      <Facts metadata={data.metadata} />
      <ItemTable
        id={id}
        isDone={data.done ?? false}
        isDryRun={data.metadata?.validate_only ?? false}
        failedOnly={parameters.get("failed") === "true"}
        onFailedOnly={(only) => setParameters({ failed: only ? "true" : "" })}
      />
    </>
  );
}

function Ending({ operation }: { operation: Operation }) {
  const { error, response, metadata } = operation;
  if (error) return <ErrorNotice error={toApiError(400, error, null)} />;
  if (!response) return null;
  const counts = [
    ["created", "created_count" in response ? response.created_count : undefined],
    ["changed", response.updated_count],
    ["needed no change", response.unchanged_count],
    ["failed", response.failed_count],
  ] as const;
  const shown = counts.filter(([, count]) => Number(count ?? 0) > 0);
  return (
    <p>
      {metadata?.validate_only && "A real run: "}
      {shown.map(([text, count]) => `${Number(count).toLocaleString("en")} ${text}`).join(", ")}
      {Number(response.revision ?? 0) > 0 && `. Its last commit is revision ${response.revision}.`}
    </p>
  );
}

function Facts({ metadata }: { metadata: Model["OperationMetadata"] | undefined }) {
  return (
    <dl className="facts">
      <dt>By</dt>
      <dd>{metadata?.actor}</dd>
      <dt>Why</dt>
      <dd>
        {metadata?.reason || <span className="faint">no reason was given</span>}
        {metadata?.change_request && ` (${metadata.change_request})`}
      </dd>
      <dt>Began</dt>
      <dd>
        <Time value={metadata?.create_time} />
      </dd>
      {metadata?.end_time && (
        <>
          <dt>Ended</dt>
          <dd>
            <Time value={metadata.end_time} />
          </dd>
        </>
      )}
    </dl>
  );
}
