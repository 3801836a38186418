/** A moment of the past as people write it: a revision, a time, or nothing for now. */
import { timeOf } from "../audit/words";

export function momentOf(text: string): { as_of_revision?: string; as_of_time?: string } {
  const trimmed = text.trim();
  if (!trimmed) return {};
  return /^\d+$/.test(trimmed) ? { as_of_revision: trimmed } : { as_of_time: timeOf(trimmed) };
}

export function faultOfMoment(text: string): string {
  const trimmed = text.trim();
  if (/^\d*$/.test(trimmed)) return "";
  return Number.isNaN(new Date(trimmed.replace(" ", "T")).getTime())
    ? "Write a revision, such as 41, or a time, such as 2026-01-31 12:00."
    : "";
}

export function momentName(text: string): string {
  const trimmed = text.trim();
  if (!trimmed) return "now";
  return /^\d+$/.test(trimmed) ? `revision ${trimmed}` : trimmed;
}
