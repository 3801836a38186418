import { useMutation, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { api, type Model, read } from "../api/client";
import { parsed, written } from "../configuration/content";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { Checked } from "./Checked";
import { useSchemaVersion } from "./queries";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

type Props = { schema: Model["Schema"]; onDone: () => void };

/** The editing of a schema. What a new version would break is shown before it is made. */
export function NewVersion({ schema, onDone }: Props) {
  const latest = useSchemaVersion(schema.name ?? "", schema.latest_version ?? "");
  if (latest.isError) return <ErrorNotice error={latest.error} retry={() => void latest.refetch()} />;
  if (!latest.data) return <Busy label="Reading the latest version" />;
  return <Editor schema={schema} text={written(latest.data.document)} onDone={onDone} />;
}

type Closing = "CLOSING_CLOSED" | "CLOSING_AS_WRITTEN";
type Mode = "SCHEMA_VERSION_MODE_STRICT" | "SCHEMA_VERSION_MODE_PINNED";

function Editor({ schema, text, onDone }: Props & { text: string }) {
  const queries = useQueryClient();
  const name = schema.name ?? "";
  const [draft, setDraft] = useState(text);
  const [closing, setClosing] = useState<Closing>("CLOSING_CLOSED");
  const [mode, setMode] = useState<Mode>("SCHEMA_VERSION_MODE_STRICT");
  const content = parsed(draft);
  const document = "content" in content ? content.content : undefined;
  // A result is of the text that was checked, and no longer shown when that changes.
  const [checkedText, setCheckedText] = useState("");
  const check = useMutation({
    mutationFn: () =>
      read(
        api.POST("/api/v1/schemas/{name}:check", {
          params: { path: { name } },
          body: { document: document ?? {}, closing },
        }),
      ),
    onSuccess: () => setCheckedText(draft + closing),
  });
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) =>
      read(
        api.POST("/api/v1/schemas/{name}/versions", {
          params: { path: { name } },
          body: {
            document: document ?? {},
            closing,
            mode,
            expected_version: schema.version ?? "",
            reason: why.reason,
            change_request: why.changeRequest,
            request_id: requestId,
          },
        }),
      ),
    async () => {
      await queries.invalidateQueries();
      onDone();
    },
  );
  const isChecked = check.data !== undefined && checkedText === draft + closing;
  return (
    <form
      className="stacked"
      onSubmit={(event) => {
        event.preventDefault();
        attempt.mutate();
      }}
    >
      <Suspense fallback={<Busy label="Loading the editor" />}>
        <JsonEditor label="Schema as JSON" text={draft} onChange={setDraft} />
      </Suspense>
      {"fault" in content && (
        <p className="notice error" role="alert">
          {content.fault}
        </p>
      )}
      <ClosingChoice value={closing} onChange={setClosing} />
      <p className="actions">
        <button type="button" disabled={!document || check.isPending} onClick={() => check.mutate()}>
          {check.isPending ? "Checking …" : "Check what it would break"}
        </button>
        <button type="button" onClick={onDone}>
          Discard
        </button>
      </p>
      {check.isError && <ErrorNotice error={check.error} />}
      {isChecked && check.data && (
        <>
          <Checked result={check.data} />
          <ModeChoice value={mode} onChange={setMode} />
          <PurposeFields value={purpose} onChange={setPurpose} />
          {attempt.isError && <ErrorNotice error={attempt.error} />}
          <p className="actions">
            <button type="submit" className="primary" disabled={attempt.isPending}>
              {attempt.isPending ? "Making the version …" : "Make the new version"}
            </button>
          </p>
        </>
      )}
    </form>
  );
}

export function ClosingChoice({ value, onChange }: { value: Closing; onChange: (value: Closing) => void }) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={value === "CLOSING_CLOSED"}
        onChange={(event) => onChange(event.target.checked ? "CLOSING_CLOSED" : "CLOSING_AS_WRITTEN")}
      />{" "}
      Close it: members that it does not name are refused
    </label>
  );
}

function ModeChoice({ value, onChange }: { value: Mode; onChange: (value: Mode) => void }) {
  const choices: readonly (readonly [Mode, string])[] = [
    ["SCHEMA_VERSION_MODE_STRICT", "Strict: its configurations move to the new version, or it is not made"],
    ["SCHEMA_VERSION_MODE_PINNED", "Pinned: they stay at their version until they are migrated"],
  ];
  return (
    <fieldset>
      <legend>Its configurations</legend>
      {choices.map(([mode, text]) => (
        <label key={mode} className="check">
          <input type="radio" name="mode" checked={value === mode} onChange={() => onChange(mode)} /> {text}
        </label>
      ))}
    </fieldset>
  );
}
