"""Long-running operations: their settings, states, progress and items."""

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
    VersionMismatchError,
    Violation,
    WriteConflictError,
    WriteTooLargeError,
    reason_of_keyword,
)
from configsvc.domain.models import Origin, SchemaVersionRef
from configsvc.domain.scope import Scope
from configsvc.domain.sizes import first_listed


class OperationKind(StrEnum):
    IMPORT_CONFIGURATIONS = "IMPORT_CONFIGURATIONS"
    MIGRATE_CONFIGURATIONS = "MIGRATE_CONFIGURATIONS"


class OperationState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class Failure(StrEnum):
    ITEMS_FAILED = "ITEMS_FAILED"
    WRITE_CONFLICT = "WRITE_CONFLICT"
    WRITE_TOO_LARGE = "WRITE_TOO_LARGE"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Numbers of finished items: all, failed ones, and the others by what was done."""

    done: int = 0
    failed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOperation:
    """An operation that outlives the call that began it. revision is that of its last commit, 0 without one; a failed
    one has failure and end_time. attempts: starts, without those that were given back.
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
    """A caller's options of an import. atomic: all in one commit, or none."""

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
    """The stored settings of an import. Only applications with these ids exist for it; None: all do."""

    application_ids: list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMessage:
    """One message of an import. violations: faults that fail the whole import. digest: of all messages so far without
    the request_id, however the items are spread over them.
    """

    options: ImportOptions
    reason: str
    change_request: str
    request_id: str
    items: "list[StagedItem]"
    digest: bytes
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSettings:
    """Settings of a migration: the configurations to move, the version to move them to, and the change of each config
    (at most one of json_patch and merge_patch). from_version 0: any other version. valid_only: skip those that fail.
    application_id None, an empty prefix and no names: all.
    """

    to: SchemaVersionRef
    from_version: int
    application_id: str | None
    name_prefix: str
    names: list[str]
    json_patch: list[JsonObject] | None
    merge_patch: JsonObject | None
    valid_only: bool
    validate_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFault:
    """A fault of an item. field: path in the item, config plus a JSON Pointer for faults inside it; keyword: the one of
    the schema that is violated, or empty; reason: a reason of our own, only without a keyword.
    """

    field: str
    keyword: str
    message: str
    reason: str = ""


def fault_of(violation: Violation) -> ItemFault:
    """Return the fault of an item whose request has a violation."""
    return ItemFault(field=violation.field, keyword="", message=violation.description, reason=violation.reason)


class ItemError(StrEnum):
    INVALID = "INVALID"
    APPLICATION_NOT_FOUND = "APPLICATION_NOT_FOUND"
    EXISTS = "EXISTS"
    SCHEMA_NOT_FOUND = "SCHEMA_NOT_FOUND"
    SCHEMA_VIOLATED = "SCHEMA_VIOLATED"
    CONFLICT = "CONFLICT"
    VERSION_MISMATCH = "VERSION_MISMATCH"


class ItemChange(StrEnum):
    """The change made for an item, or, in a dry run, to be made."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of an item: a change, an error, or neither if it already was as requested. `current_version`: in
    place of the one that the item expected.
    """

    index: int
    change: ItemChange | None = None
    error: ItemError | None = None
    faults: tuple[ItemFault, ...] = ()
    current_version: int = 0


def progress_of(outcomes: Sequence[Outcome]) -> Progress:
    """Return the progress that the outcomes add up to."""
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
    """A configuration waiting to be written, or already failed. configuration_id is used if it is new; schema_version 0
    is the newest; config and faults are JSON text, see encoded_faults. application is empty if only its id is given.
    expected_version 0: the configuration does not exist; None: any.
    """

    application: str
    application_id: str | None
    name: str
    expected_version: int | None
    comments: str
    schema: str | None
    schema_version: int | None
    configuration_id: str
    config: str | None
    state: str
    error: str | None
    faults: str


def encoded_faults(faults: Iterable[ItemFault]) -> str:
    """Return the first faults as JSON text: a list of lists of field, keyword or reason, and message."""
    kept = first_listed(faults, lambda fault: len(fault.field) + len(fault.message))
    return encode_json([[fault.field, fault.keyword or fault.reason, fault.message] for fault in kept])


def decoded_faults(text: str) -> tuple[ItemFault, ...]:
    """Return the faults in a text of encoded_faults."""
    return tuple(_decoded_fault(*fault) for fault in json.loads(text))


def _decoded_fault(field: str, kind: str, message: str) -> ItemFault:
    # The database takes three texts. No keyword of JSON Schema is upper case, and every reason is.
    if kind.isupper():
        return ItemFault(field=field, keyword="", message=message, reason=kind)
    return ItemFault(field=field, keyword=kind, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationItem:
    """A finished item. before and after are set in the dry run of a migration. current_version is known if it is not
    the expected one.
    """

    index: int
    application: str
    application_id: str | None
    name: str
    expected_version: int | None
    current_version: int
    schema: str | None
    schema_version: int | None
    change: ItemChange | None
    error: ItemError | None
    faults: tuple[ItemFault, ...]
    before: JsonObject | None
    after: JsonObject | None


def error_of_operation(operation: BulkOperation) -> ConfigsvcError | None:
    """Return the error of an operation; None without one, and for an internal error."""
    if operation.state is OperationState.CANCELLED:
        return OperationCancelledError(operation.id)
    match operation.failure:
        case Failure.ITEMS_FAILED:
            return ItemsFailedError(operation.progress.failed)
        case Failure.ATTEMPTS_EXHAUSTED:
            # The last attempt only found that there were too many.
            return AttemptsExhaustedError(operation.attempts - 1)
        case Failure.WRITE_CONFLICT:
            return WriteConflictError()
        case Failure.WRITE_TOO_LARGE:
            return WriteTooLargeError()
        case _:
            return None


def error_of_item(item: OperationItem) -> ConfigsvcError | None:
    """Return the error of an item; None if it did not fail."""
    return _ERRORS[item.error](item) if item.error else None


def _violations(item: OperationItem) -> tuple[Violation, ...]:
    return tuple(
        Violation(field=fault.field, description=fault.message, reason=fault.reason or reason_of_keyword(fault.keyword))
        for fault in item.faults
    )


def _schema_name(item: OperationItem) -> str:
    return f"{item.schema}@{item.schema_version}" if item.schema_version else f"{item.schema}"


_ERRORS: dict[ItemError, Callable[[OperationItem], ConfigsvcError]] = {
    ItemError.INVALID: lambda item: InvalidRequestError(_violations(item)),
    ItemError.SCHEMA_VIOLATED: lambda item: SchemaViolatedError(_violations(item)),
    ItemError.APPLICATION_NOT_FOUND: lambda item: ResourceNotFoundError(
        "application", item.application_id or item.application
    ),
    ItemError.SCHEMA_NOT_FOUND: lambda item: ResourceNotFoundError("schema", _schema_name(item)),
    ItemError.EXISTS: lambda item: ResourceExistsError("configuration", f"{item.application}:{item.name}"),
    ItemError.CONFLICT: lambda _: WriteConflictError(),
    ItemError.VERSION_MISMATCH: lambda item: VersionMismatchError(
        expected=item.expected_version, current=item.current_version
    ),
}
