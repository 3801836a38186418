/** Two states of a configuration: the texts side by side, and a list of what differs. */
import { lazy, Suspense, useState } from "react";
import { type Json, written } from "../configuration/content";
import type { Configuration } from "../configuration/queries";
import { Busy } from "../parts/notices";
import { counted } from "../parts/words";
import { type Difference, differences } from "./differences";
import { shortened } from "./words";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

const PART = 200;

type Props = {
  /** Null where it did not exist, or was deleted. */
  before: Configuration | null;
  after: Configuration | null;
  labels: readonly [string, string];
  /** What is compared beside the content. */
  facts?: readonly Fact[];
};

export function Comparison({ before, after, labels, facts = FACTS }: Props) {
  const changedFacts = before && after ? facts.filter(([, of]) => of(before) !== of(after)) : [];
  const found = differences(contentOf(before), contentOf(after));
  return (
    <>
      {changedFacts.length > 0 && before && after && (
        <ul className="changes">
          {changedFacts.map(([label, of]) => (
            <li key={label}>
              {label}: {of(before) || "none"} → {of(after) || "none"}
            </li>
          ))}
        </ul>
      )}
      {found.length > 0 ? (
        <>
          <Suspense fallback={<Busy label="Comparing" />}>
            <JsonDiff before={textOf(before)} after={textOf(after)} labels={labels} />
          </Suspense>
          <Changes found={found} />
        </>
      ) : (
        <p className="faint">The contents are the same.</p>
      )}
    </>
  );
}

export type Fact = readonly [label: string, of: (configuration: Configuration) => string];

const COMMENTS: Fact = ["Comments", (one) => one.comments ?? ""];
const SCHEMA: Fact = [
  "Schema",
  ({ schema }) => (schema?.schema ? `${schema.schema}, version ${schema.version}` : ""),
];
const FACTS: readonly Fact[] = [
  ["Application", (one) => one.application ?? ""],
  ["Name", (one) => one.name ?? ""],
  COMMENTS,
  SCHEMA,
];
/** What a roll back restores beside the content; the name stays. */
export const RESTORED: readonly Fact[] = [COMMENTS, SCHEMA];

function Changes({ found }: { found: readonly Difference[] }) {
  const [shown, setShown] = useState(PART);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled region must be reachable by keys
    <section aria-label="What differs" className="differing" tabIndex={0}>
      <p className="count">{counted(found.length, "change")}</p>
      <ul className="changes">
        {found.slice(0, shown).map((one) => (
          <li key={`${one.sign} ${one.pointer}`}>
            <span className="sign">{WORDS[one.sign]}</span> <code>{one.pointer || "(the content)"}</code>{" "}
            <code className="faint">{valuesOf(one)}</code>
          </li>
        ))}
      </ul>
      {found.length > shown && (
        <button type="button" onClick={() => setShown(shown + PART)}>
          Show more
        </button>
      )}
    </section>
  );
}

const WORDS: Readonly<Record<Difference["sign"], string>> = {
  "+": "added",
  "-": "removed",
  "~": "changed",
};

function valuesOf(one: Difference): string {
  return [one.before, one.after]
    .filter((value) => value !== undefined)
    .map((value) => shortened(value))
    .join(" → ");
}

function contentOf(configuration: Configuration | null): Json {
  return (configuration?.config ?? {}) as Json;
}

function textOf(configuration: Configuration | null): string {
  return configuration ? written(configuration.config) : "";
}
