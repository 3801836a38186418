import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { jsonExtensions, shadowOf } from "./editor";

export type Mark = { from: number; to: number; message: string };

/** An editor of JSON text. Escape and then Tab leaves it by keys. */
export function JsonEditor(props: {
  label: string;
  text: string;
  onChange?: ((text: string) => void) | undefined;
  marks?: readonly Mark[] | undefined;
}) {
  const { label, text, onChange, marks } = props;
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const changed = useRef(onChange);
  changed.current = onChange;
  const isReadOnly = onChange === undefined;

  // biome-ignore lint/correctness/useExhaustiveDependencies: later texts are put into the editor that is there
  useEffect(() => {
    if (!place.current) return;
    const root = shadowOf(place.current);
    const editor = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: text,
        extensions: [
          jsonExtensions(label),
          lintGutter(),
          EditorState.readOnly.of(isReadOnly),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) changed.current?.(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, [label, isReadOnly]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || editor.state.doc.toString() === text) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  }, [text]);

  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const most = editor.state.doc.length;
    const shown = (marks ?? []).map(
      (one): Diagnostic => ({
        from: Math.min(one.from, most),
        to: Math.min(one.to, most),
        severity: "error",
        message: one.message,
      }),
    );
    editor.dispatch(setDiagnostics(editor.state, shown));
  }, [marks]);

  return <div className="editor" ref={place} />;
}
