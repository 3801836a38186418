import { type ChangeEvent, type DragEvent, useId, useState } from "react";
import { base, failed } from "../api/client";
import { go } from "../app/location";
import { to } from "../app/routes";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { counted } from "../parts/words";
import { useSession } from "../session/Session";
import { currentToken } from "../session/token";
import { type Found, itemsOf, linesOf } from "./files";

type Choices = { application: string; upsert: boolean; create: boolean; atomic: boolean; dry: boolean };

export function Import() {
  const session = useSession();
  const chooser = useId();
  const [found, setFound] = useState<Found[]>([]);
  const [choices, setChoices] = useState<Choices>({
    application: "",
    upsert: true,
    create: false,
    atomic: true,
    dry: true,
  });
  const items = found.flatMap((one) => one.items);
  const isFaulty = found.some((one) => one.fault);
  const isUnplaced = !choices.application.trim() && items.some((one) => !one.application);
  const { purpose, setPurpose, attempt } = useAttempt(
    async (why, requestId) => {
      const parameters = new URLSearchParams({
        mode: choices.atomic ? "IMPORT_MODE_ATOMIC" : "IMPORT_MODE_PER_ITEM",
        upsert: String(choices.upsert),
        create_applications: String(choices.create),
        validate_only: String(choices.dry),
        reason: why.reason,
        change_request: why.changeRequest,
        // A dry run and the import for real are different requests.
        ...(!choices.dry && { request_id: requestId }),
      });
      return sent(parameters, new Blob(linesOf(items, choices.application.trim())));
    },
    (operation) => go(to.operation(operation.name)),
  );

  async function take(files: FileList | null) {
    if (files?.length)
      setFound(await Promise.all([...files].map(async (file) => itemsOf(file.name, await file.text()))));
  }

  function drop(event: DragEvent) {
    event.preventDefault();
    void take(event.dataTransfer.files);
  }

  const flag = (name: "upsert" | "create" | "atomic" | "dry") => ({
    type: "checkbox",
    checked: choices[name],
    onChange: (event: ChangeEvent<HTMLInputElement>) =>
      setChoices({ ...choices, [name]: event.target.checked }),
  });
  return (
    <section aria-labelledby="import" onDragOver={(event) => event.preventDefault()} onDrop={drop}>
      <h2 id="import">Import</h2>
      <div className="drop">
        <label htmlFor={chooser}>
          Drag files here, or choose them: exports (JSON lines), or JSON contents named like their files
        </label>
        <input
          id={chooser}
          type="file"
          multiple
          accept=".json,.ndjson,.jsonl"
          onChange={(event) => void take(event.target.files)}
        />
      </div>
      <Files found={found} />
      {items.length > 0 && !isFaulty && (
        <form
          className="stacked"
          onSubmit={(event) => {
            event.preventDefault();
            attempt.mutate();
          }}
        >
          <label>
            Application
            <input
              value={choices.application}
              placeholder={items.every((one) => one.application) ? "as the files say" : "the files name none"}
              onChange={(event) => setChoices({ ...choices, application: event.target.value })}
            />
          </label>
          <label className="check">
            <input {...flag("upsert")} /> Replace configurations that exist
          </label>
          {session.may("ROLE_ADMIN") && (
            <label className="check">
              <input {...flag("create")} /> Create applications that do not exist
            </label>
          )}
          <label className="check">
            <input {...flag("atomic")} /> All or nothing, in one commit
          </label>
          <label className="check">
            <input {...flag("dry")} /> Dry run: only show what would change
          </label>
          <PurposeFields value={purpose} onChange={setPurpose} />
          {attempt.isError && <ErrorNotice error={attempt.error} />}
          <p className="actions">
            <button type="submit" className="primary" disabled={isUnplaced || attempt.isPending}>
              {attempt.isPending ? "Sending …" : choices.dry ? "Show what would change" : "Import"}
            </button>
            {isUnplaced && <span className="faint">Name the application first.</span>}
          </p>
        </form>
      )}
    </section>
  );
}

function Files({ found }: { found: readonly Found[] }) {
  return (
    <ul className="plain">
      {found.map((one) => (
        <li key={one.file}>
          <code>{one.file}</code>:{" "}
          {one.fault ? (
            <strong className="failed">{one.fault}</strong>
          ) : (
            counted(one.items.length, "configuration")
          )}
        </li>
      ))}
    </ul>
  );
}

/** Send an import. Throws ApiError. */
async function sent(parameters: URLSearchParams, body: Blob): Promise<{ name: string }> {
  const token = currentToken();
  const answer = await fetch(`${base}/api/v1/configurations:import?${parameters}`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson", ...(token && { authorization: `Bearer ${token}` }) },
    body,
  });
  const json: unknown = await answer.json().catch(() => null);
  if (!answer.ok) throw failed(answer, json);
  return json as { name: string };
}
