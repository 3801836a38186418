/** What to do about each reason of error_reason.proto. The type lets none be left out. */
import type { Reason } from "./errors";

const AGAIN = "Nothing was changed. Try again in a moment.";

export const HINTS: Readonly<Record<Exclude<Reason, "UNSPECIFIED">, string>> = {
  APPLICATION_NOT_EMPTY: "Delete its configurations first, or delete all with the application.",
  ATTEMPTS_EXHAUSTED:
    "Its process died each time. Ask the operator for the log; then start again with fewer items.",
  BATCH_FAILED: "Nothing was written. Correct what is listed, and try again.",
  DATABASE_BUSY: `The service is overloaded. ${AGAIN}`,
  DATABASE_UNAVAILABLE:
    "The service has lost its database. A write may have been made: look at the history before you repeat it.",
  EPOCH_CHANGED:
    "The database was restored or failed over. Reload the page, and look before you repeat a change.",
  FILTER_TOO_SLOW: "Choose an application, or narrow the filter by name.",
  FORMAT_UNSUITABLE: "Reload the page, which may be older than the service.",
  IDENTITY_PROVIDER_UNAVAILABLE:
    "Your sign-in may be right, but the service cannot check it now. Try again in a moment.",
  INTERNAL: "A fault of the service. Tell its operator the error_id, which is in the log of the service.",
  INVALID_REQUEST: "Correct what is listed, and try again.",
  ITEMS_FAILED: "Nothing was changed. The operation lists all faults: correct them and start it again.",
  LAST_ADMIN: "Make somebody else an admin of all applications first.",
  OPERATION_CANCELLED: "Its items list what it changed before.",
  OPERATION_RUNNING: "Cancel it, or wait until it ends.",
  OUT_OF_DESCRIPTORS: `The server is out of file descriptors. ${AGAIN}`,
  PERMISSION_DENIED:
    "Your roles are on the page Access. Ask an administrator for one; or the resource does not exist.",
  PRECONDITION_FAILED: "What you read has changed. Read again, and decide again.",
  RATE_LIMITED: "You made too many calls. Wait a little.",
  RECORD_UNREADABLE: "It is damaged in the database. Tell the operator; everything else still works.",
  REQUEST_ID_REUSED: "Try again: each attempt has a new request_id.",
  RESOURCE_EXISTS: "Choose another name.",
  RESOURCE_NOT_FOUND: "It may have been deleted or renamed. Search for it, or look at the audit.",
  RESPONSE_TOO_LARGE: "Ask for fewer at once: narrow the filter.",
  REVISION_COMPACTED:
    "That part of the history is no longer kept. The page Status shows the first revision that is.",
  REVISION_UNKNOWN: "The history has not come so far. The page Status shows the head revision.",
  SCHEMA_IN_USE: "Pin its configurations to another schema, or delete them, first.",
  SCHEMA_VERSION_REFUSED:
    "Correct the configurations that would break, or choose Pinned, which leaves them at their version.",
  SCHEMA_VIOLATED: "Correct what is listed: each fault is marked in the form and in the text.",
  SHUTTING_DOWN: "The service restarts. Try again in a moment.",
  SOURCE_MISMATCH:
    "Another repository owns the application. Change it there, or release the application first.",
  SOURCE_NOT_ADOPTED: "Nothing was changed. Adopt it on purpose with `configsvc sync adopt`.",
  TOO_MANY_WATCHES: "Close other tabs or watches first.",
  UNAUTHENTICATED: "Sign in again.",
  UNSUPPORTED_FIELD: "The service is older than this page: reload it.",
  VERSION_MISMATCH: "Somebody changed it meanwhile. Compare both, and decide again.",
  WRITE_CONFLICT: `Another write has a lock on it. ${AGAIN}`,
  WRITE_TOO_LARGE: "Nothing was changed. Split it into smaller writes.",
};
