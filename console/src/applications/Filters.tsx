import { useState } from "react";
import type { Parameters } from "../app/location";

/** Filters that the service applies: by application, schema and content. */
export function Filters(props: { parameters: URLSearchParams; onChange: (changes: Parameters) => void }) {
  const { parameters, onChange } = props;
  return (
    <>
      <Filter label="Application" name="application" parameters={parameters} onChange={onChange} />
      <Filter label="Schema" name="schema" parameters={parameters} onChange={onChange} />
      <Filter
        label="Content has"
        name="contains"
        placeholder='{"replicas": 3}'
        check={faultOfJson}
        parameters={parameters}
        onChange={onChange}
      />
      <Filter
        label="JSON path"
        name="json_path"
        placeholder="$.replicas > 2"
        parameters={parameters}
        onChange={onChange}
      />
    </>
  );
}

type FilterProps = {
  label: string;
  name: string;
  placeholder?: string;
  check?: (text: string) => string;
  parameters: URLSearchParams;
  onChange: (changes: Parameters) => void;
};

/** A field whose text takes effect with Enter, or when it is left. */
function Filter({ label, name, placeholder, check, parameters, onChange }: FilterProps) {
  const value = parameters.get(name) ?? "";
  const [text, setText] = useState(value);
  const [shown, setShown] = useState(value);
  if (shown !== value) {
    setShown(value);
    setText(value);
  }
  const fault = text ? (check?.(text) ?? "") : "";
  const apply = () => fault || text === value || onChange({ [name]: text });
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

function faultOfJson(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? "" : "Write a JSON object.";
  } catch {
    return 'This is not JSON. An example: {"replicas": 3}';
  }
}
