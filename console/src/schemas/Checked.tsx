import type { Model } from "../api/client";
import { to } from "../app/routes";
import { counted } from "../parts/words";
import { Additions } from "./Additions";

/** What a new version would mean for those who use the schema. */
export function Checked({ result }: { result: Model["CheckSchemaVersionResponse"] }) {
  const broken = Number(result.offender_count ?? 0);
  const listed = result.offenders ?? [];
  return (
    <section aria-label="What it would change">
      <p className={broken ? "notice error" : "notice"} role="status">
        {broken
          ? `${counted(broken, "configuration")} of ${result.checked_count} would violate it.`
          : `All ${counted(Number(result.checked_count ?? 0), "configuration")} that use the schema satisfy it.`}
      </p>
      {listed.length > 0 && (
        <ul>
          {listed.map((one) => (
            <li key={one.id}>
              <a href={to.configuration(one.application ?? "", one.name ?? "")}>
                {one.application}/{one.name}
              </a>
              <ul>
                {(one.faults ?? []).map((fault) => (
                  <li key={`${fault.pointer} ${fault.keyword} ${fault.message}`}>
                    <code>{fault.pointer || "the content"}</code>: {fault.message}
                  </li>
                ))}
              </ul>
            </li>
          ))}
        </ul>
      )}
      {broken > listed.length && <p className="faint">and {broken - listed.length} more</p>}
      <Compatibility result={result} />
      <Additions additions={result.additions ?? []} count={Number(result.addition_count ?? 0)} />
    </section>
  );
}

function Compatibility({ result }: { result: Model["CheckSchemaVersionResponse"] }) {
  const incompatibilities = result.incompatibilities ?? [];
  if (result.backward_compatible) {
    return <p>It is backward compatible: whatever satisfies the latest version satisfies it, too.</p>;
  }
  const count = Number(result.incompatibility_count ?? 0);
  return (
    <>
      <p>
        It may refuse contents that the latest version accepts. Nothing proves the opposite for these parts:
      </p>
      <ul>
        {incompatibilities.map((one) => (
          <li key={`${one.pointer} ${one.keyword} ${one.message}`}>
            <code>{one.pointer || "the root"}</code>: {one.message}
          </li>
        ))}
      </ul>
      {count > incompatibilities.length && (
        <p className="faint">and {count - incompatibilities.length} more</p>
      )}
    </>
  );
}
