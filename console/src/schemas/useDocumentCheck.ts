import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError } from "../api/errors";
import { parsed } from "../configuration/parsed";
import type { SchemaVersion } from "./queries";
import { type Addition, type Additions, additionsOf, type Checked, type Proposal } from "./writes";

export type Fault = { pointer: string; message: string };

export type DocumentCheck = {
  /** Whether the newest text was checked, and the service takes it. */
  isGood: boolean;
  isChecking: boolean;
  syntax: { message: string; at: number } | undefined;
  faults: readonly Fault[];
  /** An error that has nothing to do with the document. */
  error: Error | null;
  additions: Additions;
  /** The version that it would be, with its additions; the newest one if it is the same. Undefined for a new schema. */
  version: SchemaVersion | undefined;
};

type Check = (proposal: Proposal, signal: AbortSignal) => Promise<Checked>;
const PAUSE_MILLISECONDS = 300;
const NO_ADDITIONS = additionsOf({ additions: [] as Addition[] });

/** Check a document as it is typed, by the service. `key`: what else the answer depends on. */
export function useDocumentCheck(proposal: Proposal, key: readonly string[], check: Check): DocumentCheck {
  const settled = useSettled(proposal.text);
  const read = parsed(settled);
  const checked = useQuery({
    queryKey: ["document-check", ...key, proposal.isOpen, settled],
    enabled: "content" in read,
    queryFn: ({ signal }) => check({ ...proposal, text: settled }, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  const isChecking = settled !== proposal.text || checked.isFetching;
  const error = checked.isError && "content" in read ? checked.error : null;
  const faults = documentFaults(error);
  const known = "content" in read && checked.isSuccess ? checked.data : undefined;
  return {
    isGood: !isChecking && checked.isSuccess && "content" in read,
    isChecking,
    syntax: "fault" in read ? { message: read.fault, at: read.at } : undefined,
    faults,
    error: faults.length ? null : error,
    additions: known?.additions ?? NO_ADDITIONS,
    version: known?.version,
  };
}

/** Return a value once it has not changed for a while. */
function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Return the faults of a document in an error; none if it is about something else. */
export function documentFaults(error: unknown): Fault[] {
  if (!(error instanceof ApiError)) return [];
  return error.violations.flatMap(({ field, description }) => {
    const found = /^document(?<pointer>\/.*)?$/s.exec(field);
    return found ? [{ pointer: found.groups?.pointer ?? "", message: description }] : [];
  });
}
