import { lazy, Suspense, useMemo } from "react";
import { placesOf } from "../configuration/places";
import { Busy, ErrorNotice } from "../parts/notices";
import { counted } from "../parts/words";
import { AdditionList } from "./AdditionList";
import type { DocumentCheck } from "./useDocumentCheck";
import type { Proposal } from "./writes";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

type Props = { proposal: Proposal; onChange: (proposal: Proposal) => void; check: DocumentCheck };

/** An editor of a schema's document, with its faults and with what closing would add. */
export function DocumentEditor({ proposal, onChange, check }: Props) {
  const { text } = proposal;
  const { syntax, faults } = check;
  const marks = useMemo(() => {
    if (syntax) return [{ from: syntax.at, to: syntax.at + 1, message: syntax.message }];
    const places = placesOf(
      text,
      faults.map((one) => one.pointer),
    );
    return faults.map((one, index) => ({ from: 0, to: 0, ...places[index], message: one.message }));
  }, [text, syntax, faults]);
  return (
    <>
      <label>
        <input
          type="checkbox"
          checked={!proposal.isOpen}
          onChange={(event) => onChange({ ...proposal, isOpen: !event.target.checked })}
        />{" "}
        Closed: refuse properties that the document does not declare, unless it says whether it takes them
      </label>
      <Summary check={check} />
      <AdditionList additions={check.additions} verb="adds" />
      <Suspense fallback={<Busy label="Loading the editor" />}>
        <JsonEditor
          label="Document as JSON"
          text={text}
          onChange={(next) => onChange({ ...proposal, text: next })}
          marks={marks}
        />
      </Suspense>
    </>
  );
}

function Summary({ check }: { check: DocumentCheck }) {
  if (check.error) return <ErrorNotice error={check.error} />;
  if (check.syntax) {
    return (
      <p className="notice error" role="alert">
        {check.syntax.message}
      </p>
    );
  }
  if (!check.faults.length) {
    return (
      <p className="faint" role="status">
        {check.isChecking ? "Checking …" : check.isGood && "The service accepts this document."}
      </p>
    );
  }
  return (
    <div className="notice error" role="alert">
      <p>
        <strong>{counted(check.faults.length, "fault")}:</strong>
      </p>
      <ul>
        {check.faults.map((one) => (
          <li key={`${one.pointer} ${one.message}`}>
            <code>{one.pointer || "the document"}</code>: {one.message}
          </li>
        ))}
      </ul>
    </div>
  );
}
