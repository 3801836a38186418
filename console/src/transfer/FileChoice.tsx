import { type DragEvent, useId, useState } from "react";
import { Busy } from "../parts/notices";
import { readAllOf } from "./files";
import type { ReadFile } from "./reading";

/** A place to drop files, and a button that chooses some. */
export function FileChoice({ onRead }: { onRead: (files: ReadFile[]) => void }) {
  const id = useId();
  const [isOver, setIsOver] = useState(false);
  const [isReading, setIsReading] = useState(false);

  async function take(files: Iterable<File>) {
    setIsReading(true);
    try {
      onRead(await readAllOf(files));
    } finally {
      setIsReading(false);
    }
  }

  function drop(event: DragEvent) {
    event.preventDefault();
    setIsOver(false);
    // The list is emptied once this handler has ended.
    void take([...event.dataTransfer.files]);
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button inside does the same by keys
    <div
      className={isOver ? "drop over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        setIsOver(true);
      }}
      onDragLeave={() => setIsOver(false)}
      onDrop={drop}
    >
      <label htmlFor={id}>Drag files here, or choose them:</label>
      <input
        id={id}
        type="file"
        multiple
        accept=".json,.jsonl,.ndjson,application/json"
        disabled={isReading}
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          // So that the same file can be chosen again once it was corrected.
          event.target.value = "";
          void take(files);
        }}
      />
      <p className="faint">
        Exports of this service, as JSON lines or as <code>configsvc config export</code> writes them; and any
        JSON object, which becomes the configuration that is named as its file.
      </p>
      {isReading && <Busy label="Reading the files" />}
    </div>
  );
}
