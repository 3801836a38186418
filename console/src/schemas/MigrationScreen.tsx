/** The move of configurations from one version of their schema to another. */
import { useState } from "react";
import { api, type Model, read } from "../api/client";
import { go } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { parsed } from "../configuration/content";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { useSchema } from "./queries";

export default function MigrationScreen({ names }: ScreenProps) {
  const name = names.schema ?? "";
  const schema = useSchema(name);
  if (schema.isError) return <ErrorNotice error={schema.error} retry={() => void schema.refetch()} />;
  if (!schema.data) return <Busy label="Reading the schema" />;
  return <Form schema={schema.data} />;
}

function Form({ schema }: { schema: Model["Schema"] }) {
  const name = schema.name ?? "";
  const [from, setFrom] = useState("1");
  const [target, setTarget] = useState(schema.latest_version ?? "");
  const [application, setApplication] = useState("");
  const [prefix, setPrefix] = useState("");
  const [patch, setPatch] = useState("");
  const [isDry, setIsDry] = useState(true);
  const [isValidOnly, setIsValidOnly] = useState(false);
  const fault = patch.trim() ? faultOf(patch) : "";
  const { purpose, setPurpose, attempt } = useAttempt(
    // A dry run and the run for real are different requests.
    (why, requestId) =>
      read(
        api.POST("/api/v1/schemas/{schema}:migrate", {
          params: { path: { schema: name } },
          body: {
            from_version: from.trim(),
            to_version: target.trim(),
            ...scope(application.trim(), prefix.trim()),
            ...(patch.trim() && { merge_patch: JSON.parse(patch) as Record<string, unknown> }),
            valid_only: isValidOnly,
            validate_only: isDry,
            reason: why.reason,
            change_request: why.changeRequest,
            ...(!isDry && { request_id: requestId }),
          },
        }),
      ),
    (operation) => go(to.operation(operation.name ?? "")),
  );
  return (
    <>
      <header className="screen">
        <h1>
          Migrate the configurations of <a href={to.schema(name)}>{name}</a>
        </h1>
      </header>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <div className="filters">
          <label>
            From version
            <input
              value={from}
              onChange={(event) => setFrom(event.target.value)}
              required
              inputMode="numeric"
            />
          </label>
          <label>
            To version
            <input
              value={target}
              onChange={(event) => setTarget(event.target.value)}
              required
              inputMode="numeric"
            />
          </label>
          <label>
            Application
            <input
              value={application}
              onChange={(event) => setApplication(event.target.value)}
              placeholder="all"
            />
          </label>
          <label>
            Name begins with
            <input value={prefix} onChange={(event) => setPrefix(event.target.value)} placeholder="any" />
          </label>
        </div>
        <label>
          Merge patch for each content, if the new version needs one
          <textarea
            value={patch}
            rows={4}
            onChange={(event) => setPatch(event.target.value)}
            placeholder='{"timeout": 30, "old_name": null}'
          />
        </label>
        {fault && (
          <p className="notice error" role="alert">
            {fault}
          </p>
        )}
        <label className="check">
          <input type="checkbox" checked={isDry} onChange={(event) => setIsDry(event.target.checked)} /> Dry
          run: only show what would change
        </label>
        <label className="check">
          <input
            type="checkbox"
            checked={isValidOnly}
            onChange={(event) => setIsValidOnly(event.target.checked)}
          />{" "}
          Leave out what would violate the new version, instead of changing nothing
        </label>
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="primary" disabled={fault !== "" || attempt.isPending}>
            {attempt.isPending ? "Starting …" : isDry ? "Show what would change" : "Migrate"}
          </button>
        </p>
      </form>
    </>
  );
}

function scope(application: string, prefix: string) {
  if (!application && !prefix) return { all_configurations: {} };
  return {
    selector: {
      ...(application && { application: { name: application } }),
      ...(prefix && { name_prefix: prefix }),
    },
  };
}

function faultOf(patch: string): string {
  const read = parsed(patch);
  return "fault" in read ? read.fault : "";
}
