"""Every error that a caller may see. `configsvc.api.statuses` translates them to gRPC, in one table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

MAX_VIOLATIONS = 100
_CAPITAL = re.compile("[A-Z]")


class ConfigsvcError(Exception):
    """The base of all errors that callers see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One fault of a request. `field` is its path in the request, followed by a JSON Pointer if it is in a config.

    `reason` is a constant for programs, in UPPER_SNAKE_CASE: the keyword of the schema, or a kind of our own; empty if
    there is none.
    """

    field: str
    description: str
    reason: str = ""


def reason_of_keyword(keyword: str) -> str:
    """Return a keyword of JSON Schema as the reason of a violation: additionalProperties, ADDITIONAL_PROPERTIES."""
    return _CAPITAL.sub(r"_\g<0>", keyword.lstrip("$")).upper()


class FaultyRequestError(ConfigsvcError):
    """A request with faults. `omitted` counts those that were found and not kept."""

    def __init__(self, violations: tuple[Violation, ...], omitted: int = 0) -> None:
        super().__init__("; ".join(f"{violation.field}: {violation.description}" for violation in violations[:3]))
        self.violations = violations
        self.omitted = omitted

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Violation, ...]]]:
        """Let the error cross from one process to another."""
        return type(self), (self.violations,)


class InvalidRequestError(FaultyRequestError):
    """A request that can never succeed."""


class UnsupportedFieldError(FaultyRequestError):
    """A request with fields that only newer versions of the server know."""


class SchemaViolatedError(FaultyRequestError):
    """A config that does not satisfy its schema."""


class ResourceError(ConfigsvcError):
    """An error about one resource, under the name that the caller used."""

    verb: str

    def __init__(self, resource_type: str, resource_name: str) -> None:
        super().__init__(f"{resource_type} {resource_name} {self.verb}")
        self.resource_type = resource_type
        self.resource_name = resource_name


class ResourceNotFoundError(ResourceError):
    verb = "does not exist"


class ResourceExistsError(ResourceError):
    """A name that another resource has."""

    verb = "already exists"


class RecordUnreadableError(ResourceError):
    """A row of the database that cannot be read: its bytes are no text, or its times or numbers none of ours.

    `application_id` is that of the row, so that it is shown only to callers that may see it.
    """

    verb = "is damaged in the database and cannot be read: an operator has to repair it"

    def __init__(
        self, resource_type: str, resource_name: str, *, resource_id: str, application_id: str | None, version: int
    ) -> None:
        super().__init__(resource_type, resource_name)
        self.resource_id = resource_id
        self.application_id = application_id
        self.version = version


class ApplicationNotEmptyError(ResourceError):
    """An application that has configurations, deleted without force."""

    verb = "still has configurations: delete them first, or set force"


class SchemaVersionRefusedError(ConfigsvcError):
    """Configurations that would not satisfy a new version of their schema; `offenders` names the first ones."""

    def __init__(self, *, schema: str, offenders: tuple[str, ...], count: int) -> None:
        super().__init__(f"{count} configurations would not satisfy the new version of schema {schema}")
        self.offenders = offenders
        self.count = count


class SchemaInUseError(ResourceError):
    """A schema that cannot be deleted because something uses it; `users` names some of them."""

    verb = "is still in use: unpin or delete what uses it first"

    def __init__(self, schema: str, users: tuple[str, ...]) -> None:
        super().__init__("schema", schema)
        self.users = users


class BatchFailedError(ConfigsvcError):
    """A batch in which writes failed, so that none was done. `failures` maps the index of a write to its error."""

    def __init__(self, failures: Mapping[int, ConfigsvcError]) -> None:
        super().__init__(f"{len(failures)} writes of the batch failed and nothing was changed")
        self.failures = failures


class SourceMismatchError(ResourceError):
    """An application that another source owns."""

    verb = "has another source: apply that one, or release it first"

    def __init__(self, application: str, *, repository: str, path: str, commit: str) -> None:
        super().__init__("application", application)
        self.repository = repository
        self.path = path
        self.commit = commit


class SourceNotAdoptedError(ResourceError):
    """An application with configurations, or a configuration, that no source owns and that is not to be adopted."""

    verb = "exists already, and no source owns it: set adopt to take it"


class OperationRunningError(ResourceError):
    """An operation that cannot be deleted before it ends."""

    verb = "is still running: cancel it, or wait until it ends"


class OperationCancelledError(ResourceError):
    verb = "was cancelled"

    def __init__(self, operation_id: str) -> None:
        super().__init__("operation", f"operations/{operation_id}")


class ItemsFailedError(ConfigsvcError):
    """An operation whose items failed, so that none was done."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} items failed and nothing was changed: call ListOperationItems for their errors")
        self.count = count


class AttemptsExhaustedError(ConfigsvcError):
    """An operation that was started too often: each time its process died or lost the database."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"the operation was started {count} times, and each time its process died or lost the database: it is not "
            "started again. Changes that it made are kept; call ListOperationItems to see them"
        )
        self.count = count


class VersionMismatchError(ConfigsvcError):
    """An expected version (0: that there is none), or the version of an etag (None), that is not the current one."""

    def __init__(self, *, expected: int | None, current: int) -> None:
        of_etag = "the version with this etag"
        wanted = of_etag if expected is None else f"version {expected}" if expected else "that it does not exist"
        found = f"the current version is {current}" if current else "it does not exist"
        super().__init__(f"expected {wanted}, but {found}")
        self.current = current


class PreconditionFailedError(ConfigsvcError):
    """A precondition of a batch that does not hold: something that it selects has changed."""

    def __init__(self, *, index: int, since: int, changed_revision: int) -> None:
        super().__init__(
            f"preconditions[{index}] does not hold, so nothing was changed: something that it selects changed after "
            f"revision {since}, last in revision {changed_revision}"
        )
        self.index = index
        self.changed_revision = changed_revision


class RequestIdReusedError(ConfigsvcError):
    """A request_id that was used for another request."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"request_id {request_id} was used for another request in the last 24 hours: use a new one")


class RevisionUnknownError(ConfigsvcError):
    """A revision, or a time by the database's clock, that the history has not reached."""

    def __init__(self, *, head: int, revision: int = 0, time: datetime | None = None) -> None:
        wanted = f"time {time.isoformat()}" if time else f"revision {revision}"
        super().__init__(f"the history has not reached {wanted}: the latest revision is {head}")
        self.head = head


class RevisionCompactedError(ConfigsvcError):
    """A revision or version that compaction removed from the history, or after which a record cannot be read."""

    def __init__(
        self, *, compacted_revision: int, revision: int = 0, version: int = 0, is_unreadable: bool = False
    ) -> None:
        wanted = f"version {version}" if version else f"revision {revision}"
        super().__init__(
            f"a record of revision {compacted_revision} cannot be read: start over with a snapshot"
            if is_unreadable
            else f"{wanted} was compacted: the history starts at revision {compacted_revision}"
        )
        self.compacted_revision = compacted_revision
        self.is_unreadable = is_unreadable


def unreadable_revision(revision: int) -> RevisionCompactedError:
    """Return the error of a revision with a record that cannot be read: clients start over, as after compaction."""
    return RevisionCompactedError(compacted_revision=revision, is_unreadable=True)


class EpochChangedError(ConfigsvcError):
    """A history of the caller that is not the database's current one."""

    def __init__(self, *, expected: str, current: str) -> None:
        change = (
            f"was replaced by {current}"
            if expected != current
            else "went back to an earlier state, or the server lost track of it"
        )
        super().__init__(f"the history {expected} {change}: its revisions are no longer valid, so start over")
        self.current = current


class FilterTooSlowError(ConfigsvcError):
    """A filter that took the database too long."""

    def __init__(self) -> None:
        super().__init__("the filter took too long: narrow it by application, name_prefix or contains")


class ResponseTooLargeError(ConfigsvcError):
    """A response that would not fit into one message."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"the response would exceed {limit} bytes: ask for fewer resources, or for format JSON")


class FormatUnsuitableError(ResourceError):
    """JSON that was asked for as a Struct, which cannot hold it."""

    verb = "cannot be a google.protobuf.Struct, which would change a number or exceed 3 MiB: ask for format JSON"


class WriteTooLargeError(ConfigsvcError):
    """A write that took the database too long."""

    def __init__(self) -> None:
        super().__init__("the write took too long and nothing was changed: split it into smaller ones")


class DatabaseBusyError(ConfigsvcError):
    """A time-out while waiting for a database connection, or of a read for a table that is locked."""

    def __init__(self, *, table_locked: bool = False) -> None:
        reason = "a table of the database is locked" if table_locked else "the database is busy"
        super().__init__(f"{reason} and nothing was done: try again")
        self.table_locked = table_locked


class WriteConflictError(ConfigsvcError):
    """A lock that another transaction did not release in time, a deadlock, or a serialization failure.

    `waited_for_row`: it was the lock of one row or key, so that other rows can be written.
    """

    def __init__(self, *, waited_for_row: bool = False) -> None:
        super().__init__("the write conflicts with another transaction and nothing was changed: try again")
        self.waited_for_row = waited_for_row


class DatabaseUnavailableError(ConfigsvcError):
    """A database that does not respond."""

    text = "the database does not respond; a write may have been done: retry it with the same request_id"

    def __init__(self) -> None:
        super().__init__(self.text)


class OutOfDescriptorsError(DatabaseUnavailableError):
    """A call that needs a new connection or file of a process that has no file descriptor left.

    Whoever waits for the database to come back waits for this to pass, too.
    """

    text = "the server has no file descriptor left and did nothing: try again later, or at another server"


class UnauthenticatedError(ConfigsvcError):
    """A caller that has not proved who it is. The text says what is wrong and quotes nothing of what it sent."""


class IdentityProviderUnavailableError(ConfigsvcError):
    """A token that cannot be verified because the keys of its provider cannot be read."""

    def __init__(self, *, retry_seconds: float) -> None:
        super().__init__(
            "the identity provider does not respond, and the token cannot be verified without its keys: try again"
        )
        self.retry_seconds = retry_seconds


class PermissionDeniedError(ConfigsvcError):
    """A caller without permission. The text depends on the request and the caller only, never on what exists."""


class LastAdminError(ResourceError):
    """The role binding without which nobody could administer all applications."""

    verb = "is the last one that makes an admin of all applications: create another one first"


class RateLimitedError(ConfigsvcError):
    """A caller with too many calls, in a second or at once."""

    def __init__(self, text: str = "too many calls: slow down", *, retry_seconds: float) -> None:
        super().__init__(text)
        self.retry_seconds = retry_seconds


class TooManyWatchesError(ConfigsvcError):
    """A watch beyond a limit of its caller or of the process: of their number, or of the memory for selectors."""


class ShuttingDownError(ConfigsvcError):
    """A server that is shutting down."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down: reconnect")


class Violations:
    """The faults of one request, collected so that the caller sees all of them at once.

    As a context manager, it raises InvalidRequestError at the end of the block if there is a fault.
    """

    def __init__(self) -> None:
        self._found: list[Violation] = []
        self.omitted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.check()

    def add(self, field: str, description: str, reason: str = "") -> None:
        """Add a fault. It is only counted if there are MAX_VIOLATIONS already."""
        if len(self._found) < MAX_VIOLATIONS:
            self._found.append(Violation(field=field, description=description, reason=reason))
        else:
            self.omitted += 1

    def extend(self, other: "Violations") -> None:
        """Add the faults of another collection."""
        for violation in other.found:
            self.add(violation.field, violation.description, violation.reason)
        self.omitted += other.omitted

    @property
    def found(self) -> tuple[Violation, ...]:
        """The faults, in the order in which they were added."""
        return tuple(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def check(self) -> None:
        """Raise InvalidRequestError if there is a fault."""
        if self._found:
            raise InvalidRequestError(self.found, self.omitted)
