"""Long-running operations: what they are asked to do, where they are, and what became of their items."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.errors import (
    AttemptsExhaustedError,
    ConfigsvcError,
    InvalidRequestError,
    ItemsFailedError,
    OperationCancelledError,
    ResourceExistsError,
    ResourceNotFoundError,
    SchemaViolatedError,
    Violation,
    WriteConflictError,
    WriteTooLargeError,
)
from configsvc.domain.models import Origin, SchemaVersionRef
from configsvc.domain.scope import Scope


class OperationKind(StrEnum):
    """What an operation does."""

    IMPORT_CONFIGURATIONS = "IMPORT_CONFIGURATIONS"
    MIGRATE_CONFIGURATIONS = "MIGRATE_CONFIGURATIONS"


class OperationState(StrEnum):
    """Where an operation is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class Failure(StrEnum):
    """Why an operation failed."""

    ITEMS_FAILED = "ITEMS_FAILED"
    WRITE_CONFLICT = "WRITE_CONFLICT"
    WRITE_TOO_LARGE = "WRITE_TOO_LARGE"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many items are done, how many of those failed, and what was done for the others."""

    done: int = 0
    failed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOperation:
    """Work that outlives the call that asked for it. revision is that of its last commit, 0 without one; failure is
    set, and end_time too, when it has failed. attempts: how often it was begun, and not given back.
    """

    id: str
    kind: OperationKind
    state: OperationState
    settings: JsonObject
    actor: str
    origin: Origin
    reason: str
    request_id: str
    validate_only: bool
    attempts: int
    total: int
    progress: Progress
    revision: int
    failure: Failure | None
    create_time: datetime
    end_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How a caller wants configurations imported. atomic: all in one commit, or none."""

    atomic: bool
    upsert: bool
    create_applications: bool
    validate_only: bool

    def within(self, scope: Scope) -> "ImportSettings":
        """Return the settings of an import that is confined to the scope."""
        ids = None if scope.ids is None else sorted(scope.ids)
        return ImportSettings(**asdict(self), application_ids=ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings(ImportOptions):
    """The settings of an import, as its operation keeps them. Other applications than those with application_ids do
    not exist for the import; None: all do.
    """

    application_ids: list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMessage:
    """What one message of an import says. violations are faults for which the whole import is refused; digest is that
    of all messages so far, but for the request_id, and does not depend on how the items are spread over them.
    """

    options: ImportOptions
    reason: str
    request_id: str
    items: "list[StagedItem]"
    digest: bytes
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSettings:
    """Which configurations are moved to which version, and what is done to each config; at most one of json_patch and
    merge_patch is set. from_version 0: from any other version. valid_only: those that cannot be moved stay.
    """

    to: SchemaVersionRef
    from_version: int
    application_id: str | None
    json_patch: list[JsonObject] | None
    merge_patch: JsonObject | None
    valid_only: bool
    validate_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFault:
    """What is wrong with an item. field is its path in the item, config with a JSON Pointer appended for faults inside;
    keyword is that of the schema which refuses it, empty where none does.
    """

    field: str
    keyword: str
    message: str


class ItemError(StrEnum):
    """Why an item failed."""

    INVALID = "INVALID"
    APPLICATION_NOT_FOUND = "APPLICATION_NOT_FOUND"
    EXISTS = "EXISTS"
    SCHEMA_NOT_FOUND = "SCHEMA_NOT_FOUND"
    SCHEMA_VIOLATED = "SCHEMA_VIOLATED"
    CONFLICT = "CONFLICT"


class ItemChange(StrEnum):
    """What was done for an item, or, in a dry run, would be."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an item: a change, an error, or neither, when it was as it should be."""

    place: int
    change: ItemChange | None = None
    error: ItemError | None = None
    faults: tuple[ItemFault, ...] = ()


def progress_of(outcomes: Sequence[Outcome]) -> Progress:
    """The progress that items make together which are done."""
    failed = sum(outcome.error is not None for outcome in outcomes)
    created = sum(outcome.change is ItemChange.CREATED for outcome in outcomes)
    updated = sum(outcome.change is ItemChange.UPDATED for outcome in outcomes)
    return Progress(
        done=len(outcomes),
        failed=failed,
        created=created,
        updated=updated,
        unchanged=len(outcomes) - failed - created - updated,
    )


class StagedItem(NamedTuple):
    """A configuration as it came, waiting to be written, or failed already. configuration_id is for the case that it is
    new; schema_version 0 stands for the newest; config and faults are JSON text, see encoded_faults.
    """

    application: str
    name: str
    comments: str
    schema: str | None
    schema_version: int | None
    configuration_id: str
    config: str | None
    state: str
    error: str | None
    faults: str


def encoded_faults(faults: Iterable[ItemFault]) -> str:
    """Faults as JSON text: a list of lists of field, keyword and message."""
    return encode_json([[fault.field, fault.keyword, fault.message] for fault in faults])


def decoded_faults(text: str) -> tuple[ItemFault, ...]:
    """The faults of which encoded_faults made the text."""
    return tuple(
        ItemFault(field=field, keyword=keyword, message=message) for field, keyword, message in json.loads(text)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationItem:
    """An item that is done. before and after are set in the dry run of a migration."""

    place: int
    application: str
    name: str
    schema: str | None
    schema_version: int | None
    change: ItemChange | None
    error: ItemError | None
    faults: tuple[ItemFault, ...]
    before: JsonObject | None
    after: JsonObject | None


def error_of_operation(operation: BulkOperation) -> ConfigsvcError | None:
    """The error with which an operation ended; None for one that did not, and for a fault of the server."""
    if operation.state is OperationState.CANCELLED:
        return OperationCancelledError(operation.id)
    match operation.failure:
        case Failure.ITEMS_FAILED:
            return ItemsFailedError(operation.progress.failed)
        case Failure.ATTEMPTS_EXHAUSTED:
            # The last one did nothing but find that there had been too many.
            return AttemptsExhaustedError(operation.attempts - 1)
        case Failure.WRITE_CONFLICT:
            return WriteConflictError()
        case Failure.WRITE_TOO_LARGE:
            return WriteTooLargeError()
        case _:
            return None


def error_of_item(item: OperationItem) -> ConfigsvcError | None:
    """The error with which an item failed."""
    return _ERRORS[item.error](item) if item.error else None


def _violations(item: OperationItem) -> tuple[Violation, ...]:
    return tuple(Violation(field=fault.field, description=fault.message) for fault in item.faults)


def _schema_name(item: OperationItem) -> str:
    return f"{item.schema}@{item.schema_version}" if item.schema_version else f"{item.schema}"


_ERRORS: dict[ItemError, Callable[[OperationItem], ConfigsvcError]] = {
    ItemError.INVALID: lambda item: InvalidRequestError(_violations(item)),
    ItemError.SCHEMA_VIOLATED: lambda item: SchemaViolatedError(_violations(item)),
    ItemError.APPLICATION_NOT_FOUND: lambda item: ResourceNotFoundError("application", item.application),
    ItemError.SCHEMA_NOT_FOUND: lambda item: ResourceNotFoundError("schema", _schema_name(item)),
    ItemError.EXISTS: lambda item: ResourceExistsError("configuration", f"{item.application}:{item.name}"),
    ItemError.CONFLICT: lambda _: WriteConflictError(),
}
