import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { base, failed } from "../api/client";
import { ApiError, toApiError } from "../api/errors";
import { Busy, ErrorNotice } from "../parts/notices";
import { counted } from "../parts/words";
import { currentToken } from "../session/token";

type Exported = { text: string[]; count: number };

export function Export() {
  const [application, setApplication] = useState("");
  const [prefix, setPrefix] = useState("");
  const [count, setCount] = useState(0);
  const download = useMutation({
    mutationFn: () => exported(application.trim(), prefix.trim(), setCount),
    onSuccess: (found) => save(found.text, `${application.trim() || "configurations"}.ndjson`),
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    setCount(0);
    download.mutate();
  }

  return (
    <section aria-labelledby="export">
      <h2 id="export">Export</h2>
      <form onSubmit={submit}>
        <div className="filters">
          <label>
            Of application
            <input
              value={application}
              placeholder="all"
              onChange={(event) => setApplication(event.target.value)}
            />
          </label>
          <label>
            Name begins with
            <input value={prefix} placeholder="any" onChange={(event) => setPrefix(event.target.value)} />
          </label>
          <button type="submit" disabled={download.isPending}>
            {download.isPending ? "Exporting …" : "Export"}
          </button>
        </div>
      </form>
      {download.isPending && <Busy label={`Reading: ${counted(count, "configuration")}`} />}
      {download.isError && <ErrorNotice error={download.error} />}
      {download.data && (
        <p role="status">{counted(download.data.count, "configuration")}, all of one revision.</p>
      )}
    </section>
  );
}

/** Read an export whole. One that ends in its middle is an error, and gives no file. Throws ApiError. */
async function exported(
  application: string,
  prefix: string,
  onCount: (count: number) => void,
): Promise<Exported> {
  const token = currentToken();
  const parameters = new URLSearchParams({
    ...(application && { application }),
    ...(prefix && { name_prefix: prefix }),
  });
  const answer = await fetch(`${base}/api/v1/configurations:export?${parameters}`, {
    headers: token ? { authorization: `Bearer ${token}` } : {},
  });
  if (!answer.ok || !answer.body) throw failed(answer, await answer.json().catch(() => null));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const text: string[] = [];
  let [rest, count] = ["", 0];
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new ApiError(
        "the connection to the service was lost in the middle of the export",
        0,
        "",
        {},
        [],
        undefined,
      );
    });
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter(Boolean)) {
      const message = JSON.parse(line) as { items?: unknown[]; error?: unknown };
      if (message.error) throw toApiError(0, message.error, null);
      count += message.items?.length ?? 0;
      text.push(`${line}\n`);
    }
    onCount(count);
  }
  return { text, count };
}

function save(text: readonly string[], name: string): void {
  const address = URL.createObjectURL(new Blob([...text], { type: "application/x-ndjson" }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  URL.revokeObjectURL(address);
}
