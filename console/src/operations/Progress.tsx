import type { Operation } from "./queries";

/** How many items an operation has done, and how many failed. */
export function Progress({ operation }: { operation: Operation }) {
  const { done_count, failed_count, total_count } = operation.metadata ?? {};
  const [done, failed, total] = [done_count, failed_count, total_count].map((one) => Number(one ?? 0)) as [
    number,
    number,
    number,
  ];
  return (
    <>
      {!operation.done && <progress value={done + failed} max={total || 1} aria-label="progress" />}{" "}
      {done.toLocaleString("en")} of {total.toLocaleString("en")}
      {failed > 0 && <strong className="failed">, {failed.toLocaleString("en")} failed</strong>}
    </>
  );
}
