/** Times as people write them, for filters and for reads of the past. */

const TIME = /^(\d{4}-\d\d-\d\d)(?:(?:T|\s+)(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?\s*(Z|UTC|[+-]\d\d:\d\d)?$/i;

/** Return a time as the API takes it, from what people write: their own time if they name no zone. Undefined: no time. */
export function timeOf(text: string): string | undefined {
  const found = TIME.exec(text.trim());
  if (!found) return undefined;
  const [, day = "", clock = "00:00", zone = ""] = found;
  if (!isDay(day)) return undefined;
  const offset = /^(Z|UTC)$/i.test(zone) ? "Z" : zone;
  const written = `${day}T${clock.length === 5 ? `${clock}:00` : clock}${offset}`;
  const time = new Date(written);
  if (Number.isNaN(time.getTime())) return undefined;
  // A time with a zone stays as it was written: a Date would cut off microseconds.
  return offset ? written : time.toISOString();
}

export function faultOfTime(text: string): string {
  return timeOf(text) === undefined ? "Write a time like 2026-01-31 12:00, or 2026-01-31T12:00:00Z." : "";
}

/** Return a time to the second, in the zone of the reader. */
export function exactTime(time: Date): string {
  const two = (part: number) => String(part).padStart(2, "0");
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${day} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`;
}

function isDay(text: string): boolean {
  const time = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(text);
}
