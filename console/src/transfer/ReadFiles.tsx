import { useMemo } from "react";
import { type Column, VirtualTable } from "../parts/VirtualTable";
import { counted } from "../parts/words";
import type { ReadFile } from "./reading";

type Props = {
  files: readonly ReadFile[];
  application: string;
  onChange: (files: readonly ReadFile[]) => void;
};

type Row = { key: string; application: string; name: string; file: string };

/** What was read of the files, before anything is sent. */
export function ReadFiles({ files, application, onChange }: Props) {
  const rows = useMemo(() => rowsOf(files, application), [files, application]);
  return (
    <>
      <ul className="plain">
        {files.map((one, index) => (
          <li key={`${one.file} ${index}`}>
            <strong>{one.file}</strong>: {counted(one.items.length, "configuration")}{" "}
            <button
              type="button"
              className="quiet"
              aria-label={`Remove ${one.file}`}
              onClick={() => onChange(files.filter((_, other) => other !== index))}
            >
              ✕
            </button>
            {one.faults.length > 0 && (
              <div className="notice error" role="alert">
                {one.faults.map((fault) => (
                  <p key={fault}>{fault}</p>
                ))}
              </div>
            )}
          </li>
        ))}
      </ul>
      {rows.length > 0 && (
        <div className="read">
          <VirtualTable
            label="Configurations that were read"
            columns={COLUMNS}
            rows={rows}
            keyOf={(row) => row.key}
          />
        </div>
      )}
    </>
  );
}

function rowsOf(files: readonly ReadFile[], application: string): Row[] {
  return files.flatMap((one, file) =>
    one.items.map((item, index) => ({
      key: `${file} ${index}`,
      application: item.application || application,
      name: item.name,
      file: one.file,
    })),
  );
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "Application", cell: (row) => row.application || <span className="faint">not said</span> },
  { title: "Name", cell: (row) => row.name },
  { title: "File", className: "wide-only", cell: (row) => row.file },
];
