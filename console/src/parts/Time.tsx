import { exactTime } from "./times";

/** A time as people say it; the exact one, in their own zone and in UTC, is its title. `exact`: shows both. */
export function Time({ value, exact = false }: { value: string | undefined; exact?: boolean }) {
  if (!value) return <>–</>;
  const time = new Date(value);
  const said = ago(time, Date.now());
  return (
    <time dateTime={value} title={`${time.toLocaleString()} · ${value}`}>
      {exact ? (
        <>
          {exactTime(time)} <span className="faint">{said}</span>
        </>
      ) : (
        said
      )}
    </time>
  );
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];
const FORMAT = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function ago(time: Date, now: number): string {
  const seconds = (time.getTime() - now) / 1000;
  const unit = UNITS.find(([, length]) => Math.abs(seconds) >= length);
  return unit ? FORMAT.format(Math.round(seconds / unit[1]), unit[0]) : "just now";
}
