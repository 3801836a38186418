/** What a new version would do, before it is made. */
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import type { Model } from "../api/client";
import type { Draft } from "../configuration/drafts";
import { Dialog } from "../parts/Dialog";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { beyond, counted } from "../parts/words";
import { AdditionList } from "./AdditionList";
import { Offenders } from "./Offenders";
import { additionsOf, checkVersion, createVersion, type Mode, type Proposal } from "./writes";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

type Effect = Model["CheckSchemaVersionResponse"];
type Props = {
  name: string;
  proposal: Proposal;
  /** The document as it would be stored. */
  stored: string;
  draft: Draft;
  onClose: () => void;
  onCreated: () => void;
};

export function VersionDialog(props: Props) {
  return (
    <Dialog open onClose={props.onClose} title={`The effect of a new version of ${props.name}`} wide>
      <Form {...props} />
    </Dialog>
  );
}

function Form({ name, proposal, stored, draft, onCreated }: Props) {
  const [mode, setMode] = useState<Mode>("SCHEMA_VERSION_MODE_STRICT");
  const effect = useQuery({
    queryKey: ["schema-effect", name, proposal],
    queryFn: ({ signal }) => checkVersion(name, proposal, signal),
  });
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => createVersion(name, proposal, { mode, expected: draft.version }, why, requestId),
    onCreated,
  );
  const breaks = Number(effect.data?.offender_count ?? 0) > 0;
  const isRefused = breaks && mode === "SCHEMA_VERSION_MODE_STRICT";
  return (
    <form
      className="stacked"
      onSubmit={(event) => {
        event.preventDefault();
        attempt.mutate();
      }}
    >
      <Suspense fallback={<Busy label="Comparing" />}>
        <JsonDiff
          before={draft.base}
          after={stored}
          labels={["the newest version", "as it would be stored"]}
        />
      </Suspense>
      {effect.isPending && <Busy label="Checking all configurations of the schema" />}
      {effect.isError && <ErrorNotice error={effect.error} retry={() => void effect.refetch()} />}
      {effect.data && <EffectOf effect={effect.data} />}
      <ModeChoice mode={mode} onChange={setMode} />
      <PurposeFields value={purpose} onChange={setPurpose} />
      {attempt.isError && <ErrorNotice error={attempt.error} />}
      <p className="actions">
        <button type="submit" className="primary" disabled={!effect.data || isRefused || attempt.isPending}>
          {attempt.isPending ? "Creating …" : "Create the version"}
        </button>
        {isRefused && (
          <span>Correct the configurations first, or choose Pinned, which leaves them at their version.</span>
        )}
      </p>
    </form>
  );
}

function EffectOf({ effect }: { effect: Effect }) {
  return (
    <>
      <AdditionList additions={additionsOf(effect)} verb="adds" />
      {effect.backward_compatible ? (
        <p>Backward compatible: each content that satisfies the newest version satisfies this one, too.</p>
      ) : (
        <Incompatibilities effect={effect} />
      )}
      <Offenders effect={effect} />
    </>
  );
}

function Incompatibilities({ effect }: { effect: Effect }) {
  const parts = effect.incompatibilities ?? [];
  return (
    <details open>
      <summary>
        Not proven to be backward compatible: {counted(Number(effect.incompatibility_count ?? 0), "part")}
      </summary>
      <ul>
        {parts.map((one) => (
          <li key={`${one.pointer} ${one.keyword} ${one.message}`}>
            <code>{one.pointer || "the document"}</code>: {one.message}
          </li>
        ))}
      </ul>
      {beyond(Number(effect.incompatibility_count ?? 0), parts.length)}
    </details>
  );
}

const MODES: readonly (readonly [Mode, string, string])[] = [
  [
    "SCHEMA_VERSION_MODE_STRICT",
    "Strict",
    "all configurations of the schema move to this version at once; refused if one would violate it",
  ],
  ["SCHEMA_VERSION_MODE_PINNED", "Pinned", "none moves: each stays at the version that it is pinned to"],
];

function ModeChoice({ mode, onChange }: { mode: Mode; onChange: (mode: Mode) => void }) {
  return (
    <fieldset>
      <legend>Configurations of the schema</legend>
      {MODES.map(([value, title, text]) => (
        <label key={value} className="check">
          <input type="radio" name="mode" checked={mode === value} onChange={() => onChange(value)} />
          <span>
            <strong>{title}</strong>: {text}
          </span>
        </label>
      ))}
    </fieldset>
  );
}
