import { lazy, Suspense } from "react";
import { Busy } from "../parts/notices";
import { useSession } from "../session/Session";
import type { Migration, PatchKind } from "./migration";
import { useSchemaVersions } from "./queries";

const JsonEditor = lazy(() =>
  import("../parts/JsonEditor").then((module) => ({ default: module.JsonEditor })),
);

const KINDS: readonly (readonly [PatchKind, string])[] = [
  ["none", "nothing: the content stays as it is"],
  ["merge_patch", "a merge patch (RFC 7396)"],
  ["json_patch", "a JSON Patch (RFC 6902)"],
];

type Props = { schema: string; migration: Migration; onChange: (changes: Partial<Migration>) => void };

export function MigrationFields({ schema, migration, onChange }: Props) {
  return (
    <>
      <div className="filters">
        <VersionChoice
          label="From version"
          none="any other"
          schema={schema}
          value={migration.from}
          onChange={(from) => onChange({ from })}
        />
        <VersionChoice
          label="To version"
          none="the newest"
          schema={schema}
          value={migration.to}
          onChange={(to) => onChange({ to })}
        />
        <Selection migration={migration} onChange={onChange} />
        <label>
          Change the contents by
          <select
            value={migration.kind}
            onChange={(event) => onChange({ kind: event.target.value as PatchKind })}
          >
            {KINDS.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </div>
      {migration.kind !== "none" && (
        <Suspense fallback={<Busy label="Loading the editor" />}>
          <JsonEditor
            key={migration.kind}
            label="Patch as JSON"
            text={migration.patch}
            onChange={(patch) => onChange({ patch })}
          />
        </Suspense>
      )}
      <label className="check">
        <input
          type="checkbox"
          checked={migration.validOnly}
          onChange={(event) => onChange({ validOnly: event.target.checked })}
        />
        Move those that can be moved; otherwise none moves if one cannot
      </label>
    </>
  );
}

function Selection({ migration, onChange }: Omit<Props, "schema">) {
  const session = useSession();
  return (
    <>
      {session.may("ROLE_EDITOR") && (
        <label>
          Configurations
          <select
            value={String(migration.all)}
            onChange={(event) => onChange({ all: event.target.value === "true" })}
          >
            <option value="false">of an application or a prefix</option>
            <option value="true">all with this schema</option>
          </select>
        </label>
      )}
      {!migration.all && (
        <>
          <label>
            Application
            <input
              value={migration.application}
              onChange={(event) => onChange({ application: event.target.value.trim() })}
            />
          </label>
          <label>
            Name begins with
            <input
              value={migration.prefix}
              onChange={(event) => onChange({ prefix: event.target.value.trim() })}
            />
          </label>
        </>
      )}
    </>
  );
}

type VersionProps = {
  label: string;
  none: string;
  schema: string;
  value: string;
  onChange: (value: string) => void;
};

function VersionChoice({ label, none, schema, value, onChange }: VersionProps) {
  const versions = useSchemaVersions(schema);
  const known = versions.data?.pages.flatMap((page) => page.versions ?? []) ?? [];
  const numbers = known.map((one) => one.version ?? "");
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{none}</option>
        {/* An address may name an older one than was read. */}
        {[...new Set([...numbers, ...(value ? [value] : [])])].map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}
