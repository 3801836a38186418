import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { go } from "../app/location";
import { to } from "../app/routes";
import { Busy, ErrorNotice } from "../parts/notices";
import { NO_PURPOSE, PurposeFields } from "../parts/Purpose";
import { useRequestIds } from "../parts/useAttempt";
import { counted } from "../parts/words";
import { FileChoice } from "./FileChoice";
import { useFiles } from "./files";
import { ImportSettings } from "./ImportSettings";
import { type Settings, startImport } from "./importing";
import { ReadFiles } from "./ReadFiles";
import { twice } from "./reading";

const SAFE: Settings = {
  application: "",
  upsert: false,
  createApplications: false,
  isAtomic: true,
  isDryRun: true,
};

// As with the files: a real import follows its dry run with the same settings.
let keptSettings = SAFE;

/** Imports files that were dragged here or chosen. It shows what it read before it sends anything. */
export function Import() {
  const queries = useQueryClient();
  const [files, setFiles] = useFiles();
  const [settings, setSettings] = useState(keptSettings);
  const [purpose, setPurpose] = useState(NO_PURPOSE);
  const requestIds = useRequestIds();
  const items = files.flatMap((one) => one.items);
  const attempt = useMutation({
    mutationFn: () => {
      const sent = JSON.stringify([files.map((one) => [one.file, one.items.length]), settings, purpose]);
      return startImport(items, settings, purpose, requestIds.of(sent));
    },
    onSuccess: (operation) => {
      requestIds.done();
      if (!settings.isDryRun) setFiles([]);
      void queries.invalidateQueries({ queryKey: ["operations"] });
      go(to.operation(operation.name ?? ""));
    },
  });

  function change(changes: Partial<Settings>) {
    keptSettings = { ...settings, ...changes };
    setSettings(keptSettings);
  }

  const fault = faultOf(files, settings.application.trim());
  return (
    <section aria-labelledby="import">
      <h2 id="import">Import</h2>
      <FileChoice
        onRead={(read) => {
          requestIds.done();
          setFiles([...files, ...read]);
        }}
      />
      {files.length > 0 && (
        <form
          className="stacked"
          onSubmit={(event) => {
            event.preventDefault();
            attempt.mutate();
          }}
        >
          <ReadFiles files={files} application={settings.application} onChange={setFiles} />
          <ImportSettings
            settings={settings}
            onChange={change}
            needsApplication={items.some((one) => !one.application)}
          />
          <PurposeFields value={purpose} onChange={setPurpose} />
          {attempt.isPending && <Busy label={`Sending ${counted(items.length, "configuration")}`} />}
          {attempt.isError && <ErrorNotice error={attempt.error} />}
          <p className="actions">
            <button type="submit" className="primary" disabled={Boolean(fault) || attempt.isPending}>
              {labelOf(settings.isDryRun, items.length, attempt.isPending)}
            </button>
            {fault}
          </p>
        </form>
      )}
    </section>
  );
}

function labelOf(isDryRun: boolean, count: number, isSending: boolean): string {
  if (isSending) return "Sending …";
  return isDryRun
    ? `Try it with ${counted(count, "configuration")}`
    : `Import ${counted(count, "configuration")}`;
}

function faultOf(files: Parameters<typeof twice>[0], application: string): string {
  if (files.some((one) => one.faults.length)) return "Correct or remove the files with faults first.";
  if (!files.some((one) => one.items.length)) return "There is nothing to import.";
  if (!application && files.some((one) => one.items.some((item) => !item.application))) {
    return "Name the application of the files that do not say it.";
  }
  return twice(files, application)[0] ?? "";
}
