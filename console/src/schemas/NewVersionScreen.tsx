/** The next version of a schema. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { go } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { useDraft } from "../configuration/drafts";
import { Busy, ErrorNotice } from "../parts/notices";
import { useSession } from "../session/Session";
import { DocumentEditor } from "./DocumentEditor";
import { readAgain, type Schema, useSchema, useSchemaVersion } from "./queries";
import { useDocumentCheck } from "./useDocumentCheck";
import { VersionDialog } from "./VersionDialog";
import { draftKey } from "./words";
import { checkDocument } from "./writes";

export default function NewVersionScreen({ names }: ScreenProps) {
  const { name = "" } = names;
  const session = useSession();
  const schema = useSchema(name);
  const newest = useSchemaVersion(name, schema.data?.latest_version ?? "");
  if (!session.may("ROLE_ADMIN")) {
    return <p className="notice warning">The role admin of all applications is needed to change schemas.</p>;
  }
  const error = schema.error ?? newest.error;
  if (error && !newest.data) return <ErrorNotice error={error} retry={() => void schema.refetch()} />;
  if (!schema.data || !newest.data) return <Busy label="Reading the schema" />;
  return <Editor schema={schema.data} newest={newest.data.text} />;
}

function Editor({ schema, newest }: { schema: Schema; newest: string }) {
  const { name = "", version = "", latest_version: latest = "" } = schema;
  const queries = useQueryClient();
  const { draft, setDraft, dropDraft } = useDraft(
    draftKey(name),
    { text: newest, version, base: newest },
    // Numbers of a document have more digits than those of this page.
    (a, b) => a === b,
  );
  const [isOpen, setIsOpen] = useState(false);
  const [isAsking, setIsAsking] = useState(false);
  const proposal = { text: draft.text, isOpen };
  const check = useDocumentCheck(proposal, [name], (one, signal) => checkDocument(name, one, signal));
  const isChanged = draft.text !== draft.base;
  const isSame = isChanged && check.isGood && check.version?.version === latest;

  async function leave() {
    dropDraft();
    await readAgain(queries, name);
    go(to.schema(name));
  }

  return (
    <>
      <header className="screen">
        <h1>
          New version of <a href={to.schema(name)}>{name}</a>
        </h1>
        <button
          type="button"
          className="primary"
          disabled={!isChanged || !check.isGood || isSame}
          onClick={() => setIsAsking(true)}
        >
          Check its effect …
        </button>
        <button
          type="button"
          onClick={() => {
            dropDraft();
            go(to.schema(name));
          }}
        >
          {isChanged ? "Discard" : "Back"}
        </button>
      </header>
      {draft.version !== version && (
        <p className="notice warning" role="status">
          The schema was changed since you began: its newest version is{" "}
          <a href={to.schema(name, { version: latest })}>version {latest}</a>.{" "}
          <button type="button" onClick={() => setDraft({ ...draft, version, base: newest })}>
            Keep my text, and compare it with version {latest}
          </button>
        </p>
      )}
      {isSame && (
        <p className="notice">It says the same as version {latest}, so it would make no new version.</p>
      )}
      <DocumentEditor
        proposal={proposal}
        onChange={(next) => {
          setDraft({ ...draft, text: next.text });
          setIsOpen(next.isOpen);
        }}
        check={check}
      />
      {isAsking && (
        <VersionDialog
          name={name}
          proposal={proposal}
          stored={check.version?.text ?? proposal.text}
          draft={draft}
          onClose={() => {
            setIsAsking(false);
            // Somebody else may have changed it: the notice above says so then.
            void queries.invalidateQueries({ queryKey: ["schema", name] });
          }}
          onCreated={() => void leave()}
        />
      )}
    </>
  );
}
