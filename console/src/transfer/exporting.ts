import { api, failed, read } from "../api/client";
import { collected, type Exported, type Progress, type Selection } from "./exported";

/** Export to a file in memory. Throws ApiError; then there is no file. */
export async function exportSelection(
  selection: Selection,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Exported> {
  const { application, prefix } = selection;
  const query = { ...(application && { application }), ...(prefix && { name_prefix: prefix }) };
  const options = { params: { query }, parseAs: "stream", signal } as const;
  const body = await read(api.GET("/api/v1/configurations:export", options));
  if (!body) throw failed(new Response(null, { status: 502 }), undefined);
  return collected(body, onProgress);
}

/** Let the browser save a file. */
export function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // Once the browser has begun to save it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
