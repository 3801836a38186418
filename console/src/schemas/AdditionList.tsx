import { beyond, counted } from "../parts/words";
import type { Additions } from "./writes";

/** The keywords that the service adds to a document, so that it refuses properties that nobody declared. */
export function AdditionList({ additions, verb }: { additions: Additions; verb: "added" | "adds" }) {
  const { count } = additions;
  if (!count) return null;
  return (
    <details>
      <summary>
        Closed: the service {verb} {counted(count, "keyword")}
      </summary>
      <p className="faint">They refuse properties that the document does not declare.</p>
      <ul>
        {additions.additions.map((one) => (
          <li key={`${one.pointer} ${one.keyword}`}>
            <code>{one.pointer || "the root"}</code>: <code>{one.keyword}: false</code>
          </li>
        ))}
      </ul>
      {beyond(count, additions.additions.length)}
    </details>
  );
}
