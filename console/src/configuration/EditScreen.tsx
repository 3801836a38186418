/** The editing of a configuration's content. */
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useState } from "react";
import { go } from "../app/location";
import { to } from "../app/routes";
import type { ScreenProps } from "../app/screens";
import { Busy, ErrorNotice } from "../parts/notices";
import { NO_PURPOSE } from "../parts/Purpose";
import { useSession } from "../session/Session";
import { written } from "./content";
import { draftKey, draftOf, useDraft } from "./drafts";
import { Editing } from "./Editing";
import { MergeDialog } from "./MergeDialog";
import { PublishDialog } from "./PublishDialog";
import { type Configuration, useLiveConfiguration, useSchemaDocument } from "./queries";
import type { SchemaDocument } from "./schemas";
import { useFaults } from "./useFaults";
import { checkContent } from "./writes";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

export default function EditScreen({ names }: ScreenProps) {
  const { application = "", name = "" } = names;
  const { configuration } = useLiveConfiguration(application, name);
  const pin = configuration.data?.schema;
  const document = useSchemaDocument(pin?.schema ?? "", pin?.version ?? "");
  if (configuration.isError && !configuration.data) {
    return (
      <>
        <ErrorNotice error={configuration.error} retry={() => void configuration.refetch()} />
        <Left text={draftOf(application, name)?.text} />
      </>
    );
  }
  if (document.isError) return <ErrorNotice error={document.error} retry={() => void document.refetch()} />;
  if (!configuration.data || document.data === undefined) return <Busy label="Reading the configuration" />;
  return (
    <>
      {configuration.isError && <ErrorNotice error={configuration.error} />}
      <Editor configuration={configuration.data} document={document.data?.document ?? null} />
    </>
  );
}

/** What was typed for a configuration that cannot be read any more. */
function Left({ text }: { text: string | undefined }) {
  if (text === undefined) return null;
  return (
    <Suspense fallback={<Busy label="Loading" />}>
      <p>This is the draft that you typed for it:</p>
      <JsonEditor label="Draft" text={text} />
    </Suspense>
  );
}

function Editor({
  configuration,
  document,
}: {
  configuration: Configuration;
  document: SchemaDocument | null;
}) {
  const [here] = useState(location.hash);
  const session = useSession();
  const queries = useQueryClient();
  const application = configuration.application ?? "";
  const name = configuration.name ?? "";
  const text = written(configuration.config);
  const began = { text, version: configuration.version ?? "", base: text };
  const { draft, isChanged, setDraft, dropDraft } = useDraft(draftKey(application, name), began);
  const held = useState(NO_PURPOSE);
  const [dialog, setDialog] = useState<"" | "publish" | "merge">("");
  const check = useCallback(
    (checked: string, signal: AbortSignal) => checkContent({ application, name }, checked, signal),
    [application, name],
  );
  const faults = useFaults(draft.text, check);
  const isPublishable =
    isChanged && faults.isChecked && !faults.syntax && !faults.faults.length && !faults.error;

  async function leave() {
    dropDraft();
    await queries.invalidateQueries();
    // Whoever has gone elsewhere meanwhile stays there.
    if (location.hash === here) go(to.configuration(application, name));
  }

  if (!session.may("ROLE_EDITOR", application)) {
    return (
      <p className="notice warning">
        The role editor of {application} is needed to change its configurations.
      </p>
    );
  }
  return (
    <>
      <header className="screen">
        <h1>
          Edit <a href={to.configuration(application, name)}>{`${application}/${name}`}</a>
        </h1>
        <span className="badge">from version {draft.version}</span>
        <button
          type="button"
          className="primary"
          disabled={!isPublishable}
          onClick={() => setDialog("publish")}
        >
          Publish …
        </button>
        <button
          type="button"
          onClick={() => {
            dropDraft();
            go(to.configuration(application, name));
          }}
        >
          {isChanged ? "Discard" : "Back"}
        </button>
      </header>
      {draft.version !== configuration.version && (
        <p className="notice warning" role="status">
          Version {configuration.version} was published since you began.{" "}
          <button type="button" onClick={() => setDialog("merge")}>
            Merge both changes
          </button>
        </p>
      )}
      <Editing
        text={draft.text}
        onChange={(next) => setDraft({ ...draft, text: next })}
        document={document}
        faults={faults}
      />
      {dialog === "publish" && (
        <PublishDialog
          configuration={{ application, name }}
          draft={draft}
          held={held}
          onClose={() => setDialog("")}
          onPublished={() => void leave()}
          onConflict={() => {
            void queries.invalidateQueries({ queryKey: ["configuration"] });
            setDialog("merge");
          }}
        />
      )}
      {dialog === "merge" && (
        <MergeDialog
          configuration={{ application, name }}
          draft={draft}
          onClose={() => setDialog("")}
          onMerged={(next) => {
            setDraft(next);
            setDialog("");
          }}
        />
      )}
    </>
  );
}
