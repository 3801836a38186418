"""Errors of the commands: one table from the reason of an error to the exit code and the hint."""

from dataclasses import dataclass, field
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the client commands. They are part of the contract with scripts."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_PERMITTED = 4
    CONFLICT = 5
    UNAVAILABLE = 6
    INVALID = 7
    # 128 and the number of the signal, as a shell reports it.
    INTERRUPTED = 130
    BROKEN_PIPE = 141


@dataclass
class CliError(Exception):
    """A failure that ends a command: a line, details below it, and advice."""

    text: str
    code: ExitCode = ExitCode.ERROR
    details: list[str] = field(default_factory=list[str])
    hint: str = ""
    reason: str = ""
    # Of the service's ErrorInfo.
    metadata: dict[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return self.text


class UsageError(CliError):
    """A fault of the command line."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text, ExitCode.USAGE, hint=hint)


@dataclass(frozen=True, slots=True)
class Advice:
    """The exit code and the hint of a reason of error_reason.proto. A hint can name metadata of the error."""

    code: ExitCode
    hint: str


_AGAIN = "Nothing was changed. Run the command again in a moment."

ADVICE = {
    "INVALID_REQUEST": Advice(ExitCode.INVALID, "Correct what is listed, and run the command again."),
    "RESOURCE_NOT_FOUND": Advice(
        ExitCode.NOT_FOUND,
        "Check the spelling: `configsvc config list APPLICATION`, `app list` and `schema list` show what exists; "
        "`config list --deleted` what existed.",
    ),
    "RESOURCE_EXISTS": Advice(ExitCode.CONFLICT, "Choose another name, or use `apply`, which replaces what exists."),
    "VERSION_MISMATCH": Advice(
        ExitCode.CONFLICT, "Somebody changed it meanwhile. `history` and `diff` show how; then run the command again."
    ),
    "APPLICATION_NOT_EMPTY": Advice(
        ExitCode.CONFLICT, "Delete its configurations first, or all in one commit: `configsvc app delete NAME --force`."
    ),
    "REQUEST_ID_REUSED": Advice(ExitCode.CONFLICT, "Run the command again: each run has a new request_id."),
    "REVISION_UNKNOWN": Advice(
        ExitCode.NOT_FOUND, "The history has not come so far: `configsvc status` shows the head revision."
    ),
    "EPOCH_CHANGED": Advice(
        ExitCode.CONFLICT, "The database was restored or failed over. Run the command again from the beginning."
    ),
    "FILTER_TOO_SLOW": Advice(
        ExitCode.ERROR, "Name an application or a prefix, or use --contains, which has an index."
    ),
    "RESPONSE_TOO_LARGE": Advice(ExitCode.ERROR, "Ask for fewer at once, or for -o table, which needs no contents."),
    "WRITE_CONFLICT": Advice(ExitCode.CONFLICT, f"Another write has a lock on it. {_AGAIN}"),
    "DATABASE_UNAVAILABLE": Advice(
        ExitCode.UNAVAILABLE,
        "The service has lost its database. A write may have been made: look with `history` before you repeat it.",
    ),
    "SHUTTING_DOWN": Advice(ExitCode.UNAVAILABLE, "The server is restarting. Run the command again in a moment."),
    "WRITE_TOO_LARGE": Advice(ExitCode.ERROR, "Nothing was changed. Split it, for example by deleting in portions."),
    "DATABASE_BUSY": Advice(ExitCode.UNAVAILABLE, f"The service is overloaded. {_AGAIN}"),
    "REVISION_COMPACTED": Advice(
        ExitCode.NOT_FOUND,
        "That part of the history is no longer kept: `configsvc status` shows the first revision that is.",
    ),
    "SCHEMA_VIOLATED": Advice(
        ExitCode.INVALID, "Correct what is listed. `configsvc schema get NAME` shows the schema."
    ),
    "SCHEMA_IN_USE": Advice(
        ExitCode.CONFLICT,
        "`configsvc config list --schema NAME` shows who uses it. Pin them to another schema, or delete them, first.",
    ),
    "BATCH_FAILED": Advice(ExitCode.INVALID, "Nothing was written. Correct what is listed, and run the command again."),
    "SOURCE_MISMATCH": Advice(
        ExitCode.CONFLICT, "Apply that repository and path, or release the application from it first."
    ),
    "SOURCE_NOT_ADOPTED": Advice(
        ExitCode.CONFLICT, "Nothing was changed. Adopt it on purpose, or leave it out of the files."
    ),
    "OPERATION_RUNNING": Advice(
        ExitCode.CONFLICT, "`configsvc operation cancel ID` ends it; `operation wait ID` waits for its end."
    ),
    "SCHEMA_VERSION_REFUSED": Advice(
        ExitCode.INVALID,
        "`configsvc schema check NAME -f FILE` lists the faults. Correct the configurations, or use --pinned, "
        "which leaves them at their version.",
    ),
    "ITEMS_FAILED": Advice(
        ExitCode.INVALID, "Nothing was changed. `configsvc operation items ID --failed` lists all faults."
    ),
    "OPERATION_CANCELLED": Advice(ExitCode.ERROR, "`configsvc operation items ID` lists what it changed before."),
    "UNAUTHENTICATED": Advice(
        ExitCode.NOT_PERMITTED,
        "`configsvc context get` shows where the token comes from; `context login` gets a new one.",
    ),
    "PERMISSION_DENIED": Advice(
        ExitCode.NOT_PERMITTED,
        "`configsvc whoami` shows who you are and your roles. Ask an admin for a role; or it does not exist.",
    ),
    "LAST_ADMIN": Advice(
        ExitCode.CONFLICT, "Make another admin first: `configsvc access create PRINCIPAL admin --all-applications`."
    ),
    "RATE_LIMITED": Advice(ExitCode.UNAVAILABLE, "You made too many calls. Wait a little, and make fewer at once."),
    "TOO_MANY_WATCHES": Advice(ExitCode.UNAVAILABLE, "End other watches first, or follow more with one."),
    "IDENTITY_PROVIDER_UNAVAILABLE": Advice(
        ExitCode.UNAVAILABLE, "Your token may be right, but the service cannot check it now. Try again in a moment."
    ),
    "INTERNAL": Advice(
        ExitCode.ERROR, "A fault of the server. Tell its operator the error_id, which is in the server's log."
    ),
    "ATTEMPTS_EXHAUSTED": Advice(
        ExitCode.ERROR, "Its process died each time. Ask the operator for the log; then start again with fewer items."
    ),
    "UNSUPPORTED_FIELD": Advice(
        ExitCode.INVALID, "The server is older than this program (`configsvc status`): upgrade the server."
    ),
    "RECORD_UNREADABLE": Advice(
        ExitCode.ERROR, "It is damaged in the database. Tell the operator; everything else still works."
    ),
    "OUT_OF_DESCRIPTORS": Advice(ExitCode.UNAVAILABLE, f"The server is out of file descriptors. {_AGAIN}"),
    "FORMAT_UNSUITABLE": Advice(ExitCode.ERROR, "This program asks for JSON text: upgrade it (`configsvc version`)."),
    "PRECONDITION_FAILED": Advice(ExitCode.CONFLICT, "What you read has changed. Read again, and decide again."),
}

# For kinds of resources that do not exist, in place of the hint for all of them.
MISSING = {
    "application": "`configsvc app list` shows the applications that you may read.",
    "configuration": "`configsvc config list APPLICATION` shows what exists; `config list --deleted` what existed, "
    "`config history KEY` its versions.",
    "operation": "`configsvc operation list` shows your operations.",
    "role binding": "`configsvc access list` shows the role bindings.",
    "schema": "`configsvc schema list` shows the schemas.",
    "schema version": "`configsvc schema history NAME` shows the versions.",
}

# Errors without a reason of the service: they come from a library or a proxy.
UNEXPLAINED = {
    "UNAVAILABLE": Advice(
        ExitCode.UNAVAILABLE,
        "Is the service running there? `configsvc context get` shows the address. If it serves TLS, write https://…",
    ),
    "DEADLINE_EXCEEDED": Advice(
        ExitCode.UNAVAILABLE,
        "--timeout 2m gives it more time. If it was a write, it may have been made: `history` tells.",
    ),
    "UNAUTHENTICATED": Advice(ExitCode.NOT_PERMITTED, "A proxy in front of the service refuses the credentials."),
    "PERMISSION_DENIED": Advice(ExitCode.NOT_PERMITTED, "A proxy in front of the service refuses the credentials."),
    "UNIMPLEMENTED": Advice(ExitCode.ERROR, "Is this the gRPC address of configsvc, and the server new enough?"),
    "RESOURCE_EXHAUSTED": Advice(ExitCode.INVALID, "The request is too large for the server: at most 4 MiB."),
}
UNEXPECTED = Advice(ExitCode.UNAVAILABLE, "The connection broke, perhaps in a proxy. Run the command again.")


def advice_of(code: str, reason: str) -> Advice:
    """Return the advice for an error with this gRPC code and, if it comes from the service, this reason."""
    if reason:
        return ADVICE.get(reason, Advice(ExitCode.ERROR, "A newer server sent this: upgrade the program."))
    return UNEXPLAINED.get(code, UNEXPECTED)
