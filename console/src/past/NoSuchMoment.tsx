import { ApiError } from "../api/errors";
import { ErrorNotice } from "../parts/notices";

type Props = { error: Error; retry: () => void; onChoose: (revision: string) => void };

/** An error of a read of the past. Where the history does not reach, it offers the end that is there. */
export function NoSuchMoment({ error, retry, onChoose }: Props) {
  const metadata = error instanceof ApiError ? error.metadata : {};
  const { compacted_revision: oldest, head_revision: newest } = metadata;
  return (
    <>
      <ErrorNotice error={error} retry={oldest || newest ? undefined : retry} />
      {(oldest || newest) && (
        <p className="actions">
          <button type="button" className="primary" onClick={() => onChoose(oldest ?? newest ?? "")}>
            {oldest
              ? `Show the oldest that is kept, revision ${oldest}`
              : `Show the newest, revision ${newest}`}
          </button>
        </p>
      )}
    </>
  );
}
