/** A content in two views of one text: a form that is made from its schema, and an editor. */
import { lazy, Suspense, useMemo } from "react";
import { Broken } from "../parts/Broken";
import { Busy, ErrorNotice } from "../parts/notices";
import { counted } from "../parts/words";
import { isSame, type JsonObject, parsed } from "./content";
import { edited } from "./edits";
import { reasonAgainstContent, reasonAgainstForm } from "./formable";
import { placesOf } from "./places";
import type { SchemaDocument } from "./schemas";
import type { Faults } from "./useFaults";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);
const SchemaForm = lazy(() => import("./SchemaForm"));

type Props = {
  text: string;
  onChange: (text: string) => void;
  /** Null: a content without a schema. */
  document: SchemaDocument | null;
  faults: Faults;
};

export function Editing({ text, onChange, document, faults }: Props) {
  const reasonOfSchema = useMemo(
    () => (document ? reasonAgainstForm(document) : "it has no schema"),
    [document],
  );
  const reason = reasonOfSchema || reasonAgainstContent(text);
  const read = useMemo(() => parsed(text), [text]);
  const marks = useMemo(() => marksOf(text, faults), [text, faults]);

  function takeForm(content: JsonObject) {
    if ("content" in read && !isSame(content, read.content)) {
      onChange(edited(text, read.content, content));
    }
  }

  return (
    <>
      <Summary faults={faults} />
      {reason && <p className="faint">It is edited as text, because {reason}.</p>}
      <div className={reason ? "editing" : "editing both"}>
        <Suspense fallback={<Busy label="Loading the editor" />}>
          {!reason && document && (
            <section aria-label="Form">
              {"content" in read ? (
                <Broken>
                  <SchemaForm
                    document={document}
                    content={read.content}
                    faults={faults.faults}
                    onChange={takeForm}
                  />
                </Broken>
              ) : (
                <p className="notice warning">The form shows the content again once the text is JSON.</p>
              )}
            </section>
          )}
          <section aria-label="Text">
            <JsonEditor label="Content as JSON" text={text} onChange={onChange} marks={marks} />
          </section>
        </Suspense>
      </div>
    </>
  );
}

function Summary({ faults }: { faults: Faults }) {
  if (faults.error) return <ErrorNotice error={faults.error} />;
  if (faults.syntax) {
    return (
      <p className="notice error" role="alert">
        {faults.syntax.message}
      </p>
    );
  }
  if (!faults.faults.length) {
    return (
      <p className="faint" role="status">
        {faults.isChecked ? "The service accepts this content." : "Checking …"}
      </p>
    );
  }
  return (
    <div className="notice error" role="alert">
      <p>
        <strong>{counted(faults.faults.length, "fault")}:</strong>
      </p>
      <ul>
        {faults.faults.map((one) => (
          <li key={`${one.pointer} ${one.message}`}>
            <code>{one.pointer || "the content"}</code>: {one.message}
          </li>
        ))}
      </ul>
    </div>
  );
}

function marksOf(text: string, faults: Faults) {
  if (faults.syntax)
    return [{ from: faults.syntax.at, to: faults.syntax.at + 1, message: faults.syntax.message }];
  const places = placesOf(
    text,
    faults.faults.map((one) => one.pointer),
  );
  return faults.faults.map((one, index) => ({
    ...(places[index] ?? { from: 0, to: 0 }),
    message: one.message,
  }));
}
