/** An export as it arrives: JSON lines, of which the last one may say that it failed. */
import type { Model } from "../api/client";
import { networkError, toApiError } from "../api/errors";

export type Selection = { application: string; prefix: string };
export type Progress = { configurations: number; bytes: number };
export type Exported = Progress & { file: Blob; revision: string };

type Line = Partial<Model["ExportConfigurationsResponse"]> & { error?: unknown };

/** Return the file of an export. Throws ApiError; then there is none. */
export async function collected(
  body: ReadableStream<Uint8Array>,
  onProgress: (progress: Progress) => void,
): Promise<Exported> {
  const parts: string[] = [];
  const progress = { configurations: 0, bytes: 0 };
  let revision = "";
  for await (const line of linesOf(body)) {
    const { items, revision: shown, error } = parsedLine(line);
    if (error) throw toApiError(statusOf(error), error, null);
    parts.push(`${line}\n`);
    progress.configurations += items?.length ?? 0;
    progress.bytes += line.length;
    revision = shown ?? revision;
    onProgress({ ...progress });
  }
  if (!parts.length) throw cutOff();
  return { ...progress, revision, file: new Blob(parts, { type: "application/x-ndjson" }) };
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = body.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw networkError(error);
    });
    rest += decoder.decode(value, { stream: !done });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line.trim());
    if (!done) continue;
    if (rest.trim()) throw cutOff();
    return;
  }
}

function parsedLine(line: string): Line {
  try {
    return JSON.parse(line) as Line;
  } catch {
    throw cutOff();
  }
}

const cutOff = () => toApiError(503, { message: "the export was cut off: there is no file" }, null);

// Of a google.rpc.Status, which has no HTTP status: it began with 200.
function statusOf(error: unknown): number {
  const { code } = error as { code?: number };
  const known: Readonly<Record<number, number>> = { 4: 504, 7: 403, 8: 429, 14: 503, 16: 401 };
  return known[code ?? 0] ?? 500;
}

/** Return the name of an export's file. */
export function fileName({ application, prefix }: Selection, revision: string): string {
  const what = [application || "all", prefix].filter(Boolean).join("-");
  return `${what.replace(/[^\w.-]+/g, "-").replace(/-+$/, "")}-revision-${revision}.jsonl`;
}
