import { useEffect, useState } from "react";
import { ApiError } from "../api/errors";
import { parsed } from "./content";

export type Fault = { pointer: string; message: string };

export type Faults = {
  /** Whether the newest text was checked. */
  isChecked: boolean;
  syntax: { message: string; at: number } | undefined;
  faults: readonly Fault[];
  /** An error that has nothing to do with the content. */
  error: Error | undefined;
};

const PAUSE_MILLISECONDS = 300;
const UNCHECKED: Faults = { isChecked: false, syntax: undefined, faults: [], error: undefined };

export type Check = (text: string, signal: AbortSignal) => Promise<unknown>;

/** Check a text as it is typed, by the service: nothing else knows all of its rules. */
export function useFaults(text: string, check: Check): Faults {
  const [result, setResult] = useState<Faults & { of: string }>({ ...UNCHECKED, of: "" });
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      faultsOf(text, check, stop.signal).then(
        (found) => !stop.signal.aborted && setResult({ ...found, of: text }),
        () => undefined,
      );
    }, PAUSE_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text, check]);
  // The last faults stay until the new ones are known, so that nothing flickers.
  return { ...result, isChecked: result.of === text && result.isChecked };
}

async function faultsOf(text: string, check: Check, signal: AbortSignal): Promise<Faults> {
  const read = parsed(text);
  if ("fault" in read) {
    return { ...UNCHECKED, isChecked: true, syntax: { message: read.fault, at: read.at } };
  }
  try {
    await check(text, signal);
    return { ...UNCHECKED, isChecked: true };
  } catch (error) {
    const faults = contentFaults(error);
    return { ...UNCHECKED, isChecked: true, faults, error: faults.length ? undefined : (error as Error) };
  }
}

/** Return the faults of a content in an error; none if it is about something else. */
export function contentFaults(error: unknown): Fault[] {
  if (!(error instanceof ApiError)) return [];
  return error.violations.flatMap(({ field, description }) => {
    const found = /(?:^|\.)config(?<pointer>\/.*)?$/s.exec(field);
    return found ? [{ pointer: found.groups?.pointer ?? "", message: description }] : [];
  });
}
