import { useId } from "react";

/** Why a change is made, kept in the history. */
export type Purpose = { reason: string; changeRequest: string };

export const NO_PURPOSE: Purpose = { reason: "", changeRequest: "" };

export function PurposeFields({ value, onChange }: { value: Purpose; onChange: (value: Purpose) => void }) {
  const reason = useId();
  const request = useId();
  return (
    <div className="purpose">
      <div className="field">
        <label htmlFor={reason}>Reason</label>
        <input
          id={reason}
          value={value.reason}
          maxLength={1024}
          onChange={(event) => onChange({ ...value, reason: event.target.value })}
        />
      </div>
      <div className="field">
        <label htmlFor={request}>Change request</label>
        <input
          id={request}
          value={value.changeRequest}
          maxLength={256}
          placeholder="a ticket or a commit"
          onChange={(event) => onChange({ ...value, changeRequest: event.target.value })}
        />
      </div>
    </div>
  );
}
