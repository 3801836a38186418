import { api, read } from "../api/client";
import type { Purpose } from "../parts/Purpose";
import { type Item, linesOf } from "./reading";

export type Settings = {
  /** The application of files that do not say it. */
  application: string;
  upsert: boolean;
  createApplications: boolean;
  isAtomic: boolean;
  isDryRun: boolean;
};

/** Send items; return the operation that imports them. */
export function startImport(items: readonly Item[], settings: Settings, purpose: Purpose, requestId: string) {
  const file = new Blob(linesOf(items, settings.application), { type: "application/x-ndjson" });
  const query = {
    mode: settings.isAtomic ? "IMPORT_MODE_ATOMIC" : "IMPORT_MODE_PER_ITEM",
    upsert: settings.upsert,
    create_applications: settings.createApplications,
    validate_only: settings.isDryRun,
    reason: purpose.reason,
    change_request: purpose.changeRequest,
    request_id: requestId,
  } as const;
  return read(
    api.POST("/api/v1/configurations:import", {
      params: { query },
      // Typed as text; the browser sends it from where it is.
      body: "",
      bodySerializer: () => file,
      headers: { "content-type": "application/x-ndjson" },
    }),
  );
}
