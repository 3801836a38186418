import type { Model } from "../api/client";
import { beyond } from "./words";

/** Faults of a content; `count` of them were found. */
export function FaultList({ faults, count }: { faults: readonly Model["ContentFault"][]; count: number }) {
  if (!faults.length) return null;
  return (
    <>
      <ul className="plain">
        {faults.map((one) => (
          <li key={`${one.pointer} ${one.keyword} ${one.message}`}>
            <code>{one.pointer || "the content"}</code>: {one.message}
          </li>
        ))}
      </ul>
      {beyond(count, faults.length)}
    </>
  );
}
