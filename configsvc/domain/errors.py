"""Every error that a caller may see. `configsvc.api.statuses` translates them to gRPC, in one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

MAX_VIOLATIONS = 100


class ConfigsvcError(Exception):
    """The root of all errors that callers see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One fault of a request; field is its path in the request, with a JSON Pointer appended for faults inside a
    config.
    """

    field: str
    description: str


class FaultyRequestError(ConfigsvcError):
    """What the request asks for has faults."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__("; ".join(f"{violation.field}: {violation.description}" for violation in violations[:3]))
        self.violations = violations


class InvalidRequestError(FaultyRequestError):
    """The request can never succeed as it is."""


class SchemaViolatedError(FaultyRequestError):
    """A config does not satisfy its schema."""


class ResourceError(ConfigsvcError):
    """An error about one resource, named as the caller named it."""

    verb: str

    def __init__(self, resource_type: str, resource_name: str) -> None:
        super().__init__(f"{resource_type} {resource_name} {self.verb}")
        self.resource_type = resource_type
        self.resource_name = resource_name


class ResourceNotFoundError(ResourceError):
    """There is no such resource."""

    verb = "does not exist"


class ResourceExistsError(ResourceError):
    """Another resource has that name."""

    verb = "exists already"


class ApplicationNotEmptyError(ResourceError):
    """An application with configurations is deleted only by force."""

    verb = "has configurations: delete them first, or set force"


class SchemaVersionRefusedError(ConfigsvcError):
    """Configurations would not satisfy a new version of their schema; offenders names the first of them."""

    def __init__(self, *, schema: str, offenders: tuple[str, ...], count: int) -> None:
        super().__init__(f"{count} configurations would not satisfy the new version of schema {schema}")
        self.offenders = offenders
        self.count = count


class SchemaInUseError(ResourceError):
    """A schema is deleted only when nothing needs it; users names some of those that do."""

    verb = "is in use"

    def __init__(self, schema: str, users: tuple[str, ...]) -> None:
        super().__init__("schema", schema)
        self.users = users


class BatchFailedError(ConfigsvcError):
    """Writes of a batch failed, and none was done. failures has the error of each, by its place in the batch."""

    def __init__(self, failures: Mapping[int, ConfigsvcError]) -> None:
        super().__init__(f"{len(failures)} writes of the batch failed, and nothing was changed")
        self.failures = failures


class OperationRunningError(ResourceError):
    """An operation is deleted only when it has ended."""

    verb = "is still running: cancel it or wait for its end"


class OperationCancelledError(ResourceError):
    """An operation was told to end before it was done."""

    verb = "was cancelled"

    def __init__(self, operation_id: str) -> None:
        super().__init__("operation", f"operations/{operation_id}")


class ItemsFailedError(ConfigsvcError):
    """Items of an operation failed, and so none was done."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} items failed, and nothing was changed: ListOperationItems tells why")
        self.count = count


class AttemptsExhaustedError(ConfigsvcError):
    """An operation was begun again and again, and each time its process died or lost the database."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"the operation was begun {count} times, and each time the process that carried it out died, or lost the "
            "database: it is not begun again. What it did before is kept; its items tell what that is"
        )
        self.count = count


class VersionMismatchError(ConfigsvcError):
    """expected_version is not the current version."""

    def __init__(self, *, expected: int, current: int) -> None:
        super().__init__(f"expected version {expected}, but the current version is {current}")
        self.current = current


class RequestIdReusedError(ConfigsvcError):
    """The request_id was used with another request."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"request_id {request_id} was used with another request in the last 24 hours")


class RevisionUnknownError(ConfigsvcError):
    """The history has not reached the revision or, by the database's clock, the time."""

    def __init__(self, *, head: int, revision: int = 0, time: datetime | None = None) -> None:
        wanted = f"time {time.isoformat()}" if time else f"revision {revision}"
        super().__init__(f"{wanted} is not reached yet: the last commit is revision {head}")
        self.head = head


class RevisionCompactedError(ConfigsvcError):
    """The history no longer tells what was at the revision or in the version."""

    def __init__(self, *, compacted_revision: int, revision: int = 0, version: int = 0) -> None:
        wanted = f"version {version}" if version else f"revision {revision}"
        super().__init__(f"{wanted} was compacted: the history begins with revision {compacted_revision}")
        self.compacted_revision = compacted_revision


class EpochChangedError(ConfigsvcError):
    """The database's history is another one than the caller's."""

    def __init__(self, *, expected: str, current: str) -> None:
        fate = (
            f"is now {current}"
            if expected != current
            else "went back to an earlier state, or the server lost its place in it"
        )
        super().__init__(f"the history {expected} {fate}: its revisions mean nothing now, start anew")
        self.current = current


class FilterTooSlowError(ConfigsvcError):
    """The database gave up on a filter."""

    def __init__(self) -> None:
        super().__init__("the filter took too long: narrow it by application, name_prefix or contains")


class ResponseTooLargeError(ConfigsvcError):
    """The answer would not fit into one message."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"the answer would be larger than {limit} bytes: ask for fewer")


class WriteTooLargeError(ConfigsvcError):
    """The database gave up on a write."""

    def __init__(self) -> None:
        super().__init__("the write took too long, and nothing was changed: split it into smaller ones")


class DatabaseBusyError(ConfigsvcError):
    """No connection to the database was free in time."""

    def __init__(self) -> None:
        super().__init__("the database is busy, and nothing was done: try again")


class WriteConflictError(ConfigsvcError):
    """Another transaction held what this one needs for too long, or the two could not be put in order."""

    def __init__(self) -> None:
        super().__init__("another transaction is in the way; nothing was changed: try again")


class DatabaseUnavailableError(ConfigsvcError):
    """The database does not answer."""

    def __init__(self) -> None:
        super().__init__("the database does not answer; a write may have happened: repeat it with the same request_id")


class UnauthenticatedError(ConfigsvcError):
    """The caller has not proved who it is. The text tells it what is wrong, and nothing of what it sent."""


class IdentityProviderUnavailableError(ConfigsvcError):
    """What the caller sent to prove who it is cannot be judged: the keys for it cannot be read."""

    def __init__(self, *, retry_seconds: float) -> None:
        super().__init__("the identity provider does not answer, and without its keys the token cannot be judged")
        self.retry_seconds = retry_seconds


class PermissionDeniedError(ConfigsvcError):
    """The caller may not do this. The text must not depend on what there is, only on the request and the caller."""


class LastAdminError(ResourceError):
    """Without it nobody could administer all applications."""

    verb = "is the last one of an admin for all applications: create another one first"


class RateLimitedError(ConfigsvcError):
    """The caller has called too often, or has begun too much that has not ended."""

    def __init__(self, text: str = "too many calls: slow down", *, retry_seconds: float) -> None:
        super().__init__(text)
        self.retry_seconds = retry_seconds


class TooManyWatchesError(ConfigsvcError):
    """No more watches may be open, of this caller or at all."""

    def __init__(self, *, limit: int, whose: str) -> None:
        super().__init__(f"{whose} has {limit} watches open, which is the limit: close some")


class ShuttingDownError(ConfigsvcError):
    """The server is stopping."""

    def __init__(self) -> None:
        super().__init__("the server is stopping: connect again")


class Violations:
    """Gathers the faults of one request, so that its caller learns of all at once."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def add(self, field: str, description: str) -> None:
        """Notes a fault; those over MAX_VIOLATIONS are dropped."""
        if len(self._found) < MAX_VIOLATIONS:
            self._found.append(Violation(field=field, description=description))

    def extend(self, other: "Violations") -> None:
        """Takes over the faults that another gathered."""
        for violation in other.found:
            self.add(violation.field, violation.description)

    @property
    def found(self) -> tuple[Violation, ...]:
        """The faults, in the order of their discovery."""
        return tuple(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def check(self) -> None:
        """Raises InvalidRequestError if there is any fault."""
        if self._found:
            raise InvalidRequestError(self.found)
