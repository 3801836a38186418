/** A conflict: the content that editing began from, what somebody else made of it meanwhile, and what was typed. */
import { lazy, Suspense, useState } from "react";
import { Dialog } from "../parts/Dialog";
import { Busy, ErrorNotice } from "../parts/notices";
import { Time } from "../parts/Time";
import { type Json, type JsonObject, parsed, written } from "./content";
import type { Draft } from "./drafts";
import { type Choice, type Conflict, merged } from "./merge";
import { type Configuration, useConfiguration, useLastChange } from "./queries";
import type { Key } from "./writes";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

type Props = { configuration: Key; draft: Draft; onClose: () => void; onMerged: (draft: Draft) => void };

export function MergeDialog(props: Props) {
  const current = useConfiguration(props.configuration.application, props.configuration.name);
  return (
    <Dialog open onClose={props.onClose} title="Somebody changed it meanwhile" wide>
      {current.isError && <ErrorNotice error={current.error} retry={() => void current.refetch()} />}
      <Newest {...props} theirs={current.data} isReading={current.isFetching} />
    </Dialog>
  );
}

function Newest(props: Props & { theirs: Configuration | undefined; isReading: boolean }) {
  const { theirs, draft, isReading } = props;
  const isNewer = theirs !== undefined && theirs.version !== draft.version;
  if (!isNewer && isReading) return <Busy label="Reading the new version" />;
  if (!isNewer) return <p>There is no version newer than yours.</p>;
  if ("fault" in parsed(draft.text)) return <p>Correct your text first: it is not JSON.</p>;
  // A choice is one between contents: with another version it is asked again.
  return <Merge {...props} theirs={theirs} key={theirs.version} />;
}

function Merge({ configuration, draft, theirs, onMerged }: Props & { theirs: Configuration }) {
  const [choices, setChoices] = useState<Record<string, Choice>>({});
  const last = useLastChange(configuration.application, configuration.name, theirs.version);
  const contents = [parsed(draft.base), parsed(draft.text)];
  const [base, mine] = contents.map((one) => ("content" in one ? one.content : {})) as [
    JsonObject,
    JsonObject,
  ];
  const content = (theirs.config ?? {}) as JsonObject;
  const result = merged(base, content, mine, choices);
  const origin = last.data?.origin;
  return (
    <>
      <p>
        You began with version {draft.version}; version {theirs.version} is by {theirs.updated_by},{" "}
        <Time value={theirs.update_time} />
        {origin?.reason ? `, because: ${origin.reason}` : ""}.
      </p>
      {result.conflicts.length === 0 ? (
        <p>Both changes fit together. This is what yours adds to theirs:</p>
      ) : (
        <Conflicts
          conflicts={result.conflicts}
          choices={choices}
          onChoose={(at, one) => setChoices({ ...choices, [at]: one })}
        />
      )}
      <Suspense fallback={<Busy label="Comparing" />}>
        <JsonDiff
          before={written(content)}
          after={written(result.content)}
          labels={[`theirs, version ${theirs.version}`, "merged"]}
        />
      </Suspense>
      <p className="actions">
        <button
          type="button"
          className="primary"
          onClick={() =>
            onMerged({ text: written(result.content), version: theirs.version ?? "", base: written(content) })
          }
        >
          Go on with the merged content
        </button>
      </p>
    </>
  );
}

type ConflictsProps = {
  conflicts: readonly Conflict[];
  choices: Readonly<Record<string, Choice>>;
  onChoose: (pointer: string, choice: Choice) => void;
};

function Conflicts({ conflicts, choices, onChoose }: ConflictsProps) {
  return (
    <>
      <p>Both of you changed these members. Choose which change stays:</p>
      {conflicts.map((one) => (
        <fieldset key={one.pointer} className="conflict">
          <legend>
            <code>{one.pointer}</code>
          </legend>
          <p className="faint">It was {shown(one.base)}.</p>
          {(["theirs", "mine"] as const).map((side) => (
            <label key={side} className="check">
              <input
                type="radio"
                name={one.pointer}
                checked={(choices[one.pointer] ?? "theirs") === side}
                onChange={() => onChoose(one.pointer, side)}
              />{" "}
              {side}: <code>{shown(one[side])}</code>
            </label>
          ))}
        </fieldset>
      ))}
    </>
  );
}

function shown(value: Json | undefined): string {
  return value === undefined ? "not there" : JSON.stringify(value);
}
