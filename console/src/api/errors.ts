/** Errors of the API, and what to do about each. */
import { HINTS } from "./hints";
import type { components } from "./schema";

type PrefixedReason = components["schemas"]["ErrorReason"];
/** A reason as ErrorInfo has it, without its prefix. */
export type Reason = PrefixedReason extends `ERROR_REASON_${infer Name}` ? Name : never;

export type Violation = { field: string; description: string };
export type Fault = { pointer: string; keyword: string; message: string };

/** An answer that is not OK, or none at all. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly reason: Reason | "",
    readonly metadata: Readonly<Record<string, string>>,
    readonly violations: readonly Violation[],
    readonly retryAfterSeconds: number | undefined,
    /** What stands against it, as a PreconditionFailure names it. */
    readonly subjects: readonly string[] = [],
  ) {
    super(message);
  }

  /** What the reader can do now. */
  get hint(): string {
    const known: Readonly<Record<string, string>> = HINTS;
    return (
      known[this.reason] ??
      BY_STATUS[this.status] ??
      "Try again. If it happens again, look at the log of the service."
    );
  }

  /** Whether the same request may succeed later. */
  get mayPass(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503 || this.status === 504;
  }
}

type Detail = {
  "@type"?: string;
  reason?: string;
  metadata?: Record<string, string>;
  field_violations?: Violation[];
  violations?: { subject?: string }[];
};

/** Return the error that a body, a google.rpc.Status as JSON, describes. */
export function toApiError(status: number, body: unknown, retryAfter: string | null): ApiError {
  const answer = (typeof body === "object" && body !== null ? body : {}) as {
    message?: string;
    details?: Detail[];
  };
  const details = answer.details ?? [];
  const info = details.find((one) => one["@type"]?.endsWith("ErrorInfo"));
  const violations = details.flatMap((one) => one.field_violations ?? []);
  const subjects = details.flatMap((one) => one.violations ?? []).map((one) => one.subject ?? "");
  const seconds = retryAfter ? Number(retryAfter) : Number.NaN;
  return new ApiError(
    answer.message || `the service answered with status ${status}`,
    status,
    (info?.reason ?? "") as Reason | "",
    info?.metadata ?? {},
    violations,
    Number.isFinite(seconds) ? seconds : undefined,
    subjects,
  );
}

/** Return the error for a request without an answer. */
export function networkError(error: unknown): Error {
  if (error instanceof DOMException && error.name === "AbortError") return error;
  return new ApiError("the service does not respond", 0, "", {}, [], undefined);
}

const BY_STATUS: Readonly<Record<number, string>> = {
  0: "Check that the service runs and that this machine reaches it. The page goes on when it answers again.",
  401: "Sign in again.",
  403: "Ask an administrator of the application for a role.",
  404: "It may have been deleted or renamed. Search for it, or look at the audit.",
  429: "Wait a moment, and try again.",
  503: "Wait a moment, and try again.",
  504: "The service took too long. Try again, with less at once.",
};
