/** A new schema. */
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { api, read } from "../api/client";
import { go } from "../app/location";
import { to } from "../app/routes";
import { parsed } from "../configuration/content";
import { Busy, ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { ClosingChoice } from "./NewVersion";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

const EMPTY = `{
  "type": "object",
  "properties": {
  }
}
`;

export default function NewSchemaScreen() {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [comments, setComments] = useState("");
  const [draft, setDraft] = useState(EMPTY);
  const [closing, setClosing] = useState<"CLOSING_CLOSED" | "CLOSING_AS_WRITTEN">("CLOSING_CLOSED");
  const content = parsed(draft);
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => {
      if ("fault" in content) throw new Error(content.fault);
      const body = {
        name: name.trim(),
        comments,
        document: content.content,
        closing,
        reason: why.reason,
        change_request: why.changeRequest,
        request_id: requestId,
      };
      return read(api.POST("/api/v1/schemas", { body }));
    },
    async () => {
      await queries.invalidateQueries();
      go(to.schema(name.trim()), { replace: true });
    },
  );
  return (
    <>
      <header className="screen">
        <h1>New schema</h1>
      </header>
      <form
        className="stacked"
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <label>
          Name
          <input value={name} onChange={(event) => setName(event.target.value)} required />
        </label>
        <label>
          Comments
          <input value={comments} onChange={(event) => setComments(event.target.value)} />
        </label>
        <Suspense fallback={<Busy label="Loading the editor" />}>
          <JsonEditor label="Schema as JSON" text={draft} onChange={setDraft} />
        </Suspense>
        {"fault" in content && (
          <p className="notice error" role="alert">
            {content.fault}
          </p>
        )}
        <ClosingChoice value={closing} onChange={setClosing} />
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button type="submit" className="primary" disabled={"fault" in content || attempt.isPending}>
            {attempt.isPending ? "Creating …" : "Create"}
          </button>
        </p>
      </form>
    </>
  );
}
