import type { Caller } from "../session/Session";
import { to } from "./routes";
import { ThemeButton } from "./ThemeButton";

const SCREENS: readonly (readonly [string, string, string])[] = [
  ["configurations", "Configurations", to.configurations()],
  ["applications", "Applications", to.applications()],
  ["schemas", "Schemas", to.schemas()],
  ["audit", "Audit", to.audit()],
  ["operations", "Operations", to.operations()],
  ["transfer", "Import and export", to.transfer()],
  ["access", "Access", to.access()],
  ["status", "Status", to.status()],
];

export function Navigation({ segments, caller }: { segments: readonly string[]; caller: Caller }) {
  const current = segments[0] ?? "configurations";
  return (
    <header className="top">
      <a className="brand" href={to.configurations()}>
        configsvc
      </a>
      <nav aria-label="Screens">
        <ul>
          {SCREENS.map(([name, label, href]) => (
            <li key={name}>
              <a href={href} aria-current={name === current ? "page" : undefined}>
                {label}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <span className="who" title="who you are to the service">
        {caller.principal}
      </span>
      <ThemeButton />
    </header>
  );
}
