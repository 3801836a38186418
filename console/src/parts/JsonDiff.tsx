import { MergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { jsonExtensions, shadowOf } from "./editor";

/** Two JSON texts side by side, with what differs marked. Lines that are the same are folded. */
export function JsonDiff({
  before,
  after,
  labels,
}: {
  before: string;
  after: string;
  labels: readonly [string, string];
}) {
  const place = useRef<HTMLDivElement>(null);
  const [first, second] = labels;
  useEffect(() => {
    if (!place.current) return;
    const root = shadowOf(place.current);
    const side = (doc: string, label: string) => ({
      doc,
      extensions: [jsonExtensions(label), EditorState.readOnly.of(true), EditorView.editable.of(false)],
    });
    const view = new MergeView({
      root,
      parent: root,
      a: side(before, first),
      b: side(after, second),
      collapseUnchanged: { margin: 3, minSize: 6 },
      diffConfig: { scanLimit: 5000, timeout: 1000 },
    });
    return () => view.destroy();
  }, [before, after, first, second]);
  return (
    <figure className="diff">
      <figcaption>
        <span>{first}</span>
        <span>{second}</span>
      </figcaption>
      <div className="editor" ref={place} />
    </figure>
  );
}
