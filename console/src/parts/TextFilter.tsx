import { useState } from "react";

type TextFilterProps = {
  label: string;
  value: string;
  placeholder?: string;
  /** Returns what is wrong with a text; empty if nothing is. */
  check?: (text: string) => string;
  onApply: (text: string) => void;
};

/** A field whose text takes effect with Enter, or when it is left. */
export function TextFilter({ label, value, placeholder, check, onApply }: TextFilterProps) {
  const [text, setText] = useState(value);
  const [shown, setShown] = useState(value);
  // The address changed: by the back button, or a link.
  if (shown !== value) {
    setShown(value);
    setText(value);
  }
  const fault = text ? (check?.(text) ?? "") : "";
  const apply = () => fault || text === value || onApply(text.trim());
  return (
    <label>
      {label}{" "}
      <input
        value={text}
        placeholder={placeholder}
        aria-invalid={Boolean(fault)}
        title={fault}
        onChange={(event) => setText(event.target.value)}
        onBlur={apply}
        onKeyDown={(event) => event.key === "Enter" && apply()}
      />
    </label>
  );
}
