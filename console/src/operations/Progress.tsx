import type { Model } from "../api/client";
import { counted } from "../parts/words";

/** How far an operation is. */
export function Progress({ metadata }: { metadata: Model["OperationMetadata"] | undefined }) {
  const done = Number(metadata?.done_count ?? 0);
  const total = Number(metadata?.total_count ?? 0);
  const failed = Number(metadata?.failed_count ?? 0);
  return (
    <span className="progress">
      <progress value={done} max={Math.max(total, 1)} aria-label="Progress" />
      <span>
        {done.toLocaleString("en")} of {counted(total, "item")}
        {failed > 0 && `, ${failed.toLocaleString("en")} failed`}
      </span>
    </span>
  );
}
