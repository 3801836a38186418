import type { Model } from "../api/client";
import { counted } from "../parts/words";

/** What the service added to a document, so that it refuses members that it does not name. */
export function Additions({
  additions,
  count,
}: {
  additions: readonly Model["SchemaAddition"][];
  count: number;
}) {
  if (!additions.length) return null;
  return (
    <details>
      <summary>The service closed this schema: it added {counted(count, "keyword")}</summary>
      <ul>
        {additions.map((one) => (
          <li key={`${one.pointer} ${one.keyword}`}>
            <code>{one.keyword}</code> at <code>{one.pointer || "the root"}</code>
          </li>
        ))}
      </ul>
      {count > additions.length && <p className="faint">and {count - additions.length} more</p>}
    </details>
  );
}
