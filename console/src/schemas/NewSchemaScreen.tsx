/** A new schema. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { go } from "../app/location";
import { to } from "../app/routes";
import { useDraft } from "../configuration/drafts";
import { ErrorNotice } from "../parts/notices";
import { PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { useSession } from "../session/Session";
import { DocumentEditor } from "./DocumentEditor";
import { readAgain } from "./queries";
import { useDocumentCheck } from "./useDocumentCheck";
import { checkSchema, createSchema } from "./writes";

const BEGINNING = `{
  "type": "object",
  "properties": {
  },
  "required": []
}
`;

export default function NewSchemaScreen() {
  const session = useSession();
  if (!session.may("ROLE_ADMIN")) {
    return <p className="notice warning">The role admin of all applications is needed to create schemas.</p>;
  }
  return <Form />;
}

function Form() {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [comments, setComments] = useState("");
  const [isOpen, setIsOpen] = useState(false);
  const { draft, setDraft, dropDraft } = useDraft("new schema", {
    text: BEGINNING,
    version: "0",
    base: BEGINNING,
  });
  const made = { name: name.trim(), comments };
  const proposal = { text: draft.text, isOpen };
  // A document can be checked before anybody thought of a name.
  const named = made.name || "unnamed";
  const check = useDocumentCheck(proposal, [named, comments], (one, signal) =>
    checkSchema({ ...made, name: named }, one, signal),
  );
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => createSchema(made, proposal, why, requestId),
    async () => {
      dropDraft();
      await readAgain(queries, made.name);
      go(to.schema(made.name), { replace: true });
    },
  );
  return (
    <>
      <header className="screen">
        <h1>New schema</h1>
      </header>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          attempt.mutate();
        }}
      >
        <div className="filters">
          <label>
            Name
            <input value={name} onChange={(event) => setName(event.target.value)} required />
          </label>
          <label>
            Comments
            <input value={comments} onChange={(event) => setComments(event.target.value)} />
          </label>
        </div>
        <DocumentEditor
          proposal={proposal}
          onChange={(next) => {
            setDraft({ ...draft, text: next.text });
            setIsOpen(next.isOpen);
          }}
          check={check}
        />
        <PurposeFields value={purpose} onChange={setPurpose} />
        {attempt.isError && <ErrorNotice error={attempt.error} />}
        <p className="actions">
          <button
            type="submit"
            className="primary"
            disabled={!check.isGood || !made.name || attempt.isPending}
          >
            {attempt.isPending ? "Creating …" : "Create"}
          </button>
        </p>
      </form>
    </>
  );
}
