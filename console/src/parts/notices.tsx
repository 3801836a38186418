import type { ReactNode } from "react";
import { ApiError } from "../api/errors";

/** Progress of something that takes long; it shows itself after 300 ms. */
export function Busy({
  label,
  done,
  total,
}: {
  label: string;
  done?: number | undefined;
  total?: number | undefined;
}) {
  return (
    <div className="busy" role="status">
      <span>{label} …</span>
      {total ? (
        <progress value={done ?? 0} max={total} aria-label={label} />
      ) : (
        <progress aria-label={label} />
      )}
    </div>
  );
}

/** An error, and what to do about it. */
export function ErrorNotice(props: { error: Error; retry?: (() => void) | undefined; leave?: () => void }) {
  const { error, retry, leave } = props;
  const known = error instanceof ApiError ? error : undefined;
  return (
    <div className="notice error" role="alert">
      <p>
        <strong>{sentence(error.message)}</strong> {known?.hint}
      </p>
      {known && known.violations.length > 0 && (
        <ul>
          {known.violations.map((one) => (
            <li key={`${one.field} ${one.description}`}>
              <code>{one.field}</code>: {one.description}
            </li>
          ))}
        </ul>
      )}
      {known?.metadata.error_id && (
        <p>
          error_id <code>{known.metadata.error_id}</code>
        </p>
      )}
      {(retry || leave) && (
        <p className="actions">
          {retry && (
            <button type="button" onClick={retry}>
              Try again
            </button>
          )}
          {leave && (
            <button type="button" onClick={leave}>
              Sign out
            </button>
          )}
        </p>
      )}
    </div>
  );
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** A line in place of a list without items. */
export function Nothing({ children }: { children: ReactNode }) {
  return <p className="nothing">{children}</p>;
}
