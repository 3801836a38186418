import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useParameters } from "../app/location";
import { Busy, ErrorNotice } from "../parts/notices";
import { TextFilter } from "../parts/TextFilter";
import { counted } from "../parts/words";
import { fileName, type Progress } from "./exported";
import { exportSelection, save } from "./exporting";

/** Exports a selection, which is in the address. */
export function Export() {
  const [parameters, setParameters] = useParameters();
  const selection = {
    application: parameters.get("application") ?? "",
    prefix: parameters.get("prefix") ?? "",
  };
  const [progress, setProgress] = useState<Progress>();
  const stop = useRef<AbortController>(undefined);
  useEffect(() => () => stop.current?.abort(), []);
  const attempt = useMutation({
    mutationFn: () => {
      stop.current = new AbortController();
      setProgress(undefined);
      return exportSelection(selection, setProgress, stop.current.signal);
    },
    onSuccess: ({ file, revision }) => save(file, fileName(selection, revision)),
  });
  const isStopped = attempt.error?.name === "AbortError";
  return (
    <section aria-labelledby="export">
      <h2 id="export">Export</h2>
      <p>All configurations of a selection at one revision, as JSON lines, which can be imported.</p>
      <div className="filters">
        <TextFilter
          label="Application"
          placeholder="all that you may read"
          value={selection.application}
          onApply={(application) => setParameters({ application })}
        />
        <TextFilter
          label="Name begins with"
          value={selection.prefix}
          onApply={(prefix) => setParameters({ prefix })}
        />
        <button type="button" disabled={attempt.isPending} onClick={() => attempt.mutate()}>
          {attempt.isPending ? "Exporting …" : "Export"}
        </button>
        {attempt.isPending && (
          <button type="button" onClick={() => stop.current?.abort()}>
            Stop
          </button>
        )}
      </div>
      {attempt.isPending && <Busy label={`Exporting${progress ? `: ${sizeOf(progress)}` : ""}`} />}
      {attempt.isError && !isStopped && <ErrorNotice error={attempt.error} retry={() => attempt.mutate()} />}
      {attempt.data && (
        <p role="status">
          Exported {sizeOf(attempt.data)} at revision {attempt.data.revision}. The browser saves the file.
        </p>
      )}
    </section>
  );
}

function sizeOf({ configurations, bytes }: Progress): string {
  return `${counted(configurations, "configuration")}, ${(bytes / 1e6).toFixed(1)} MB`;
}
