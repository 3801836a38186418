import type { Model } from "../api/client";
import { to } from "../app/routes";
import { FaultList } from "../parts/FaultList";
import { beyond, counted } from "../parts/words";

/** The configurations that a new version would break, with their faults. */
export function Offenders({ effect }: { effect: Model["CheckSchemaVersionResponse"] }) {
  const offenders = effect.offenders ?? [];
  const count = Number(effect.offender_count ?? 0);
  const checked = Number(effect.checked_count ?? 0);
  if (!count) {
    return (
      <p role="status">
        {checked
          ? `All of ${counted(checked, "configuration")} satisfy it.`
          : "No configuration has this schema."}
      </p>
    );
  }
  return (
    <section aria-label="Configurations that it would break">
      <p className="notice error" role="alert">
        It would break {count.toLocaleString("en")} of {counted(checked, "configuration")}:
      </p>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Configuration</th>
              <th scope="col">Version</th>
              <th scope="col">Faults</th>
            </tr>
          </thead>
          <tbody>
            {offenders.map((one) => (
              <tr key={one.id}>
                <td>
                  <a
                    href={to.configuration(one.application ?? "", one.name ?? "")}
                    target="_blank"
                    rel="noreferrer"
                  >
                    {`${one.application}/${one.name}`}
                  </a>
                </td>
                <td>{one.version}</td>
                <td>
                  <FaultList faults={one.faults ?? []} count={Number(one.fault_count ?? 0)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {beyond(count, offenders.length)}
    </section>
  );
}
