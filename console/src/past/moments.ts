/** Moments of the history: a revision, a time, or now. */
import { timeOf } from "../parts/times";

export type Moment = { as_of_revision?: string; as_of_time?: string };

const REVISION = /^[1-9]\d{0,18}$/;

/** Return the moment that a text names: nothing is now. Undefined: it names none. */
export function momentOf(text: string): Moment | undefined {
  const trimmed = text.trim();
  if (!trimmed) return {};
  if (REVISION.test(trimmed)) return { as_of_revision: trimmed };
  const time = timeOf(trimmed);
  return time === undefined ? undefined : { as_of_time: time };
}

export function faultOfMoment(text: string): string {
  return momentOf(text) ? "" : "Write a revision like 42, or a time like 2026-01-31 12:00.";
}

/** Return a text as it stands in an address: a time has its zone, as others who read it may live in another. */
export function addressed(text: string): string {
  return timeOf(text) ?? text.trim();
}

/** Return a moment in words. */
export function momentName(text: string): string {
  if (!text) return "now";
  return REVISION.test(text) ? `revision ${text}` : text;
}
