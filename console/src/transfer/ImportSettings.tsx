import { useSession } from "../session/Session";
import type { Settings } from "./importing";

type Props = {
  settings: Settings;
  onChange: (changes: Partial<Settings>) => void;
  needsApplication: boolean;
};

export function ImportSettings({ settings, onChange, needsApplication }: Props) {
  const session = useSession();
  return (
    <>
      {needsApplication && (
        <label>
          Application of the files that do not say it
          <input
            value={settings.application}
            onChange={(event) => onChange({ application: event.target.value.trim() })}
          />
        </label>
      )}
      <Check
        label="Replace those that exist; otherwise they fail"
        value={settings.upsert}
        onChange={(upsert) => onChange({ upsert })}
      />
      {session.may("ROLE_ADMIN") && (
        <Check
          label="Create applications that do not exist"
          value={settings.createApplications}
          onChange={(createApplications) => onChange({ createApplications })}
        />
      )}
      <Check
        label="All in one commit, or nothing; otherwise each by itself"
        value={settings.isAtomic}
        onChange={(isAtomic) => onChange({ isAtomic })}
      />
      <Check
        label="Dry run: check everything, and change nothing"
        value={settings.isDryRun}
        onChange={(isDryRun) => onChange({ isDryRun })}
      />
    </>
  );
}

type CheckProps = { label: string; value: boolean; onChange: (value: boolean) => void };

function Check({ label, value, onChange }: CheckProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={value} onChange={(event) => onChange(event.target.checked)} />
      {label}
    </label>
  );
}
