import { ApiError } from "../api/errors";
import { to } from "../app/routes";
import type { Key } from "../configuration/writes";
import { Busy, ErrorNotice } from "../parts/notices";
import { Comparison } from "./Comparison";
import { type Pair, usePair } from "./queries";

type Props = { of: Key; from: string; to: string; onClose: () => void };

/** Two versions side by side. Without `from`: what a version changed. */
export function ComparedVersions({ of, from, to: until, onClose }: Props) {
  const pair = usePair(of.application, of.name, from, until);
  return (
    <section aria-labelledby="compared">
      <header className="screen">
        <h2 id="compared">{titleOf(pair.data, from, until)}</h2>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </header>
      {pair.isPending && <Busy label="Comparing" />}
      {pair.isError && <ErrorNotice error={pair.error} retry={() => void pair.refetch()} />}
      {pair.error instanceof ApiError && pair.error.reason === "REVISION_COMPACTED" && (
        <p>
          <a href={to.history(of.application, of.name, { version: until })}>
            Show version {until} without a comparison
          </a>
        </p>
      )}
      {pair.data && (
        <Comparison
          before={pair.data.before}
          after={pair.data.after}
          labels={[labelOf(pair.data.from, pair.data.before), labelOf(until, pair.data.after)]}
        />
      )}
    </section>
  );
}

function titleOf(pair: Pair | undefined, from: string, until: string): string {
  const first = from || pair?.from || "";
  return Number(first) ? `Version ${first} → ${until}` : `Version ${until}`;
}

function labelOf(version: string, configuration: unknown): string {
  if (!Number(version)) return "nothing";
  return configuration ? `version ${version}` : `version ${version}: deleted`;
}
