import type { Parameters } from "../app/location";
import { TextFilter } from "../parts/TextFilter";

/** Filters by application, schema and content. */
export function Filters(props: { parameters: URLSearchParams; onChange: (changes: Parameters) => void }) {
  const { parameters, onChange } = props;
  const filter = (name: string) => ({
    value: parameters.get(name) ?? "",
    onApply: (text: string) => onChange({ [name]: text }),
  });
  return (
    <>
      <TextFilter label="Application" {...filter("application")} />
      <TextFilter label="Schema" {...filter("schema")} />
      <TextFilter
        label="Content has"
        placeholder='{"replicas": 3}'
        check={faultOfJson}
        {...filter("contains")}
      />
      <TextFilter label="JSON path" placeholder="$.replicas > 2" {...filter("json_path")} />
    </>
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
