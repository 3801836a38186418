import { lazy, Suspense } from "react";
import { ApiError } from "../api/errors";
import { Dialog } from "../parts/Dialog";
import { Busy, ErrorNotice } from "../parts/notices";
import { type Purpose, PurposeFields } from "../parts/Purpose";
import { useAttempt } from "../parts/useAttempt";
import { arranged, parsed, written } from "./content";
import type { Draft } from "./drafts";
import { type Key, publishContent } from "./writes";

const JsonDiff = lazy(() => import("../parts/JsonDiff").then((module) => ({ default: module.JsonDiff })));

type Props = {
  configuration: Key;
  draft: Draft;
  /** Why it shall be published, which outlives the dialog. */
  held: readonly [Purpose, (purpose: Purpose) => void];
  onClose: () => void;
  onPublished: () => void;
  onConflict: () => void;
};

/** What would change, and why it shall. */
export function PublishDialog(props: Props) {
  return (
    <Dialog open onClose={props.onClose} title="Publish this change?" wide>
      <Form {...props} />
    </Dialog>
  );
}

function Form({ configuration, draft, held, onPublished, onConflict }: Props) {
  const { purpose, setPurpose, attempt } = useAttempt(
    (why, requestId) => publishContent(configuration, draft.text, draft.version, why, requestId),
    onPublished,
    held,
  );
  const isConflict = attempt.error instanceof ApiError && attempt.error.reason === "VERSION_MISMATCH";
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
          after={arrangedText(draft)}
          labels={[`version ${draft.version}`, "your change"]}
        />
      </Suspense>
      <PurposeFields value={purpose} onChange={setPurpose} />
      {attempt.isError && <ErrorNotice error={attempt.error} />}
      <p className="actions">
        {isConflict ? (
          <button type="button" className="primary" onClick={onConflict}>
            Merge both changes
          </button>
        ) : (
          <button type="submit" className="primary" disabled={attempt.isPending}>
            {attempt.isPending ? "Publishing …" : "Publish"}
          </button>
        )}
      </p>
    </form>
  );
}

// Whoever typed the members in another order has not changed them.
function arrangedText(draft: Draft): string {
  const [before, after] = [parsed(draft.base), parsed(draft.text)];
  return "content" in before && "content" in after
    ? written(arranged(after.content, before.content))
    : draft.text;
}
