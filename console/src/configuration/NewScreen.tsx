/** A new configuration, or a copy of another one. */
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useId, useMemo, useState } from "react";
import { go, useParameters } from "../app/location";
import { to } from "../app/routes";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { TextFilter } from "../parts/TextFilter";
import { useAttempt } from "../parts/useAttempt";
import { useSession } from "../session/Session";
import { written } from "./content";
import { type Draft, draftKey, useDraft } from "./drafts";
import { Editing } from "./Editing";
import { type Configuration, useConfiguration, useSchemaDocument } from "./queries";
import { useFaults } from "./useFaults";
import { checkNew, create, type New } from "./writes";

const EMPTY = "{\n}\n";

export default function NewScreen() {
  const [parameters] = useParameters();
  const from = parameters.get("from") ?? "";
  const source = useConfiguration(parameters.get("application") ?? "", from, Boolean(from));
  if (from && source.isError) return <ErrorNotice error={source.error} retry={() => void source.refetch()} />;
  if (from && !source.data) return <Busy label="Reading what is copied" />;
  return <NewForm key={String(parameters)} parameters={parameters} source={source.data} />;
}

type Props = { parameters: URLSearchParams; source: Configuration | undefined };

function begun(parameters: URLSearchParams, source: Configuration | undefined): Draft & { made: New } {
  const text = source ? written(source.config) : EMPTY;
  const made = {
    application: parameters.get("application") ?? "",
    name: parameters.get("name") ?? "",
    comments: source?.comments ?? "",
    schema: source?.schema?.schema ?? parameters.get("schema") ?? "",
    version: source?.schema?.version ?? "",
  };
  return { text, version: "0", base: text, made };
}

function NewForm({ parameters, source }: Props) {
  const [here] = useState(location.hash);
  const session = useSession();
  const queries = useQueryClient();
  // What it began with stays: the source may change.
  // biome-ignore lint/correctness/useExhaustiveDependencies: a later source is not what was copied
  const began = useMemo(() => begun(parameters, source), []);
  const { draft, setDraft, dropDraft } = useDraft(draftKey("", String(parameters)), began);
  const typed = draft.made ?? began.made;
  const made = useMemo(() => trimmed(typed), [typed]);
  const set = (change: Partial<New>) => setDraft({ ...draft, made: { ...typed, ...change } });
  const document = useSchemaDocument(made.schema, made.version);
  const isNamed = made.application !== "" && made.name !== "";
  const check = useCallback(
    async (text: string, signal: AbortSignal) => (isNamed ? checkNew(made, text, signal) : null),
    [made, isNamed],
  );
  const faults = useFaults(draft.text, check);
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => create(made, draft.text, why, requestId),
    async () => {
      dropDraft();
      await queries.invalidateQueries();
      // Whoever has gone elsewhere meanwhile stays there.
      if (location.hash === here) go(to.configuration(made.application, made.name), { replace: true });
    },
  );
  const isReady = isNamed && faults.isChecked && !faults.syntax && !faults.faults.length && !faults.error;
  return (
    <>
      <header className="screen">
        <h1>{source ? `Copy of ${source.application}/${source.name}` : "New configuration"}</h1>
      </header>
      <div className="filters">
        <Field
          label="Application"
          value={typed.application}
          onChange={(application) => set({ application })}
        />
        <Field label="Name" value={typed.name} onChange={(name) => set({ name })} />
        <TextFilter label="Schema" value={typed.schema} onApply={(schema) => set({ schema })} />
        <TextFilter
          label="Schema version"
          value={typed.version}
          placeholder="the latest"
          onApply={(version) => set({ version })}
        />
        <Field label="Comments" value={typed.comments} onChange={(comments) => set({ comments })} />
      </div>
      {document.isError && <ErrorNotice error={document.error} />}
      <Editing
        text={draft.text}
        onChange={(text) => setDraft({ ...draft, text })}
        document={document.data?.document ?? null}
        faults={faults}
      />
      {session.may("ROLE_EDITOR", made.application) ? (
        <form
          className="stacked"
          onSubmit={(event) => {
            event.preventDefault();
            attempt.mutate();
          }}
        >
          <PurposeFields value={purpose} onChange={setPurpose} />
          {attempt.isError && <ErrorNotice error={attempt.error} />}
          <p className="actions">
            <button type="submit" className="primary" disabled={!isReady || attempt.isPending}>
              {attempt.isPending ? "Creating …" : "Create"}
            </button>
          </p>
        </form>
      ) : (
        <p className="notice warning">
          {made.application
            ? `The role editor of ${made.application} is needed to create its configurations.`
            : "Name the application that it is for."}
        </p>
      )}
    </>
  );
}

function trimmed(made: New): New {
  const [application, name, schema, version] = [made.application, made.name, made.schema, made.version];
  return {
    ...made,
    application: application.trim(),
    name: name.trim(),
    schema: schema.trim(),
    version: version.trim(),
  };
}

type FieldProps = { label: string; value: string; onChange: (value: string) => void };

function Field({ label, value, onChange }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} value={value} onChange={(event) => onChange(event.target.value)} />
    </div>
  );
}
