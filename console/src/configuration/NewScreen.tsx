/** A new configuration. */
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useId, useState } from "react";
import { go, useParameters } from "../app/location";
import { to } from "../app/routes";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { type JsonObject, parsed } from "./content";
import { draftKey, useDraft } from "./drafts";
import { Editing } from "./Editing";
import { useSchemaDocument } from "./queries";
import { useFaults } from "./useFaults";
import { checkNew, create, type New } from "./writes";

const EMPTY = "{\n}\n";

export default function NewScreen() {
  const queries = useQueryClient();
  const [parameters] = useParameters();
  const [made, setMade] = useState<New>({
    application: parameters.get("application") ?? "",
    name: parameters.get("name") ?? "",
    comments: "",
    schema: parameters.get("schema") ?? "",
    version: "",
  });
  const [draft, setDraft, dropDraft] = useDraft(draftKey("", "new"), {
    text: EMPTY,
    version: "0",
    base: EMPTY,
  });
  const document = useSchemaDocument(made.schema.trim(), made.version.trim());
  const isNamed = made.application.trim() !== "" && made.name.trim() !== "";
  const check = useCallback(
    async (content: JsonObject, signal: AbortSignal) =>
      isNamed ? checkNew(trimmed(made), content, signal) : null,
    [made, isNamed],
  );
  const faults = useFaults(draft.text, check);
  const { purpose, setPurpose, attempt } = useAttempt(
    async (why, requestId) => {
      const read = parsed(draft.text);
      if ("fault" in read) throw new Error(read.fault);
      return create(trimmed(made), read.content, why, requestId);
    },
    async () => {
      dropDraft();
      await queries.invalidateQueries();
      go(to.configuration(made.application.trim(), made.name.trim()), { replace: true });
    },
  );
  const isReady = isNamed && faults.isChecked && !faults.syntax && !faults.faults.length && !faults.error;
  return (
    <>
      <header className="screen">
        <h1>New configuration</h1>
      </header>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <div className="filters">
          <Field
            label="Application"
            value={made.application}
            onChange={(application) => setMade({ ...made, application })}
          />
          <Field label="Name" value={made.name} onChange={(name) => setMade({ ...made, name })} />
          <Field label="Schema" value={made.schema} onChange={(schema) => setMade({ ...made, schema })} />
          <Field
            label="Schema version"
            value={made.version}
            placeholder="the latest"
            onChange={(version) => setMade({ ...made, version })}
          />
          <Field
            label="Comments"
            value={made.comments}
            onChange={(comments) => setMade({ ...made, comments })}
          />
        </div>
        {document.isError && <ErrorNotice error={document.error} />}
        <Editing
          text={draft.text}
          onChange={(text) => setDraft({ ...draft, text })}
          document={document.data?.document ?? null}
          faults={faults}
        />
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="primary" disabled={!isReady || attempt.isPending}>
            {attempt.isPending ? "Creating …" : "Create"}
          </button>
        </p>
      </form>
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

type FieldProps = { label: string; value: string; placeholder?: string; onChange: (value: string) => void };

function Field({ label, value, placeholder, onChange }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        value={value}
        placeholder={placeholder}
        onChange={(event) => onChange(event.target.value)}
      />
    </div>
  );
}
