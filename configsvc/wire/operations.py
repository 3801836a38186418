"""google.longrunning.Operations and OperationService: requests and messages.

Parsers raise InvalidRequestError with every fault.
"""

from dataclasses import dataclass

from google.longrunning.operations_proto_pb2 import ListOperationsRequest, Operation, WaitOperationRequest
from google.rpc.status_pb2 import Status

from configapi.v1.change_pb2 import ChangeType
from configapi.v1.content_pb2 import ContentFault
from configapi.v1.operation_service_pb2 import (
    ImportConfigurationsResult,
    ListOperationItemsRequest,
    MigrateConfigurationsResult,
    OperationMetadata,
)
from configapi.v1.operation_service_pb2 import OperationItem as OperationItemMessage
from configsvc.domain.errors import FormatUnsuitableError, Violations
from configsvc.domain.names import check_id
from configsvc.domain.operations import BulkOperation, ItemFault, OperationItem, OperationKind, OperationState
from configsvc.domain.requests import ItemListing, PageRequest
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.wire.json_fields import set_json, wants_json
from configsvc.wire.paging import name_key, number_key, page_request
from configsvc.wire.responses import listed
from configsvc.wire.times import timestamp

COLLECTION = "operations"
DEFAULT_WAIT_SECONDS = 30.0
MOST_WAIT_SECONDS = 3600.0
# The rest of a response is a page token.
ITEM_BYTES = MAX_RESPONSE_BYTES - 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A WaitOperationRequest."""

    operation_id: str
    limit_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A ListOperationItemsRequest."""

    listing: ItemListing
    as_text: bool


def operation_id(name: str) -> str:
    """Return the id in the name of an operation. Raises InvalidRequestError."""
    with Violations() as violations:
        return _operation_id(name, "name", violations)


def _operation_id(name: str, field: str, violations: Violations) -> str:
    collection, _, found = name.partition("/")
    if collection == COLLECTION:
        check_id(found, field, violations)
    else:
        violations.add(field, "is not the name of an operation: it must be operations/ and a ULID")
    return found


def listing(request: ListOperationsRequest) -> PageRequest[str]:
    """Parse the request. Raises InvalidRequestError."""
    with Violations() as violations:
        if request.name not in {"", COLLECTION}:
            violations.add("name", "is not a collection of operations: leave it empty, or set it to operations")
        if request.filter:
            violations.add("filter", "is not supported: leave it empty")
        return page_request(request, name_key, violations)


def wait(request: WaitOperationRequest) -> Wait:
    with Violations() as violations:
        return Wait(
            operation_id=_operation_id(request.name, "name", violations), limit_seconds=_timeout(request, violations)
        )


def _timeout(request: WaitOperationRequest, violations: Violations) -> float:
    if not request.HasField("timeout"):
        return DEFAULT_WAIT_SECONDS
    seconds = request.timeout.seconds + request.timeout.nanos / 1e9
    if not 0 <= seconds <= MOST_WAIT_SECONDS:
        violations.add("timeout", f"is {seconds:g} s: must be between 0 and {MOST_WAIT_SECONDS:g} s")
    return seconds


def item_listing(request: ListOperationItemsRequest) -> Items:
    with Violations() as violations:
        listing = ItemListing(
            operation_id=_operation_id(request.operation, "operation", violations),
            failed_only=request.failed_only,
            page=page_request(request, number_key, violations),
        )
        return Items(listing=listing, as_text=wants_json(request.format, violations))


def operation_message(operation: BulkOperation, error: Status | None, epoch: str) -> Operation:
    """Return the message of an operation and of the error with which it ended."""
    message = Operation(name=f"{COLLECTION}/{operation.id}", done=operation.end_time is not None)
    message.metadata.Pack(_metadata(operation))
    if error is not None:
        message.error.CopyFrom(error)
    elif operation.state is OperationState.SUCCEEDED:
        message.response.Pack(_result(operation, epoch))
    return message


def _metadata(operation: BulkOperation) -> OperationMetadata:
    metadata = OperationMetadata(
        kind=OperationMetadata.Kind.Value(f"KIND_{operation.kind}"),
        state=OperationMetadata.State.Value(f"STATE_{operation.state}"),
        done_count=operation.progress.done,
        failed_count=operation.progress.failed,
        total_count=operation.total,
        actor=operation.actor,
        reason=operation.reason,
        validate_only=operation.validate_only,
        create_time=timestamp(operation.create_time),
        change_request=operation.origin.change_request,
    )
    if operation.end_time is not None:
        metadata.end_time.CopyFrom(timestamp(operation.end_time))
    return metadata


def _result(operation: BulkOperation, epoch: str) -> ImportConfigurationsResult | MigrateConfigurationsResult:
    progress = operation.progress
    match operation.kind:
        case OperationKind.IMPORT_CONFIGURATIONS:
            result = ImportConfigurationsResult(created_count=progress.created)
        case OperationKind.MIGRATE_CONFIGURATIONS:
            result = MigrateConfigurationsResult()
    result.revision = operation.revision
    result.epoch = epoch
    result.done_count = progress.done
    result.failed_count = progress.failed
    result.updated_count = progress.updated
    result.unchanged_count = progress.unchanged
    return result


def item_message(item: OperationItem, error: Status | None, *, as_text: bool) -> OperationItemMessage:
    """Return the message of an item and of the error with which it failed.

    Raises FormatUnsuitableError if Structs cannot hold its contents, or would exceed a response.
    """
    message = OperationItemMessage(
        index=item.index,
        application=item.application,
        name=item.name,
        type=ChangeType.Value(f"CHANGE_TYPE_{item.change or 'UNSPECIFIED'}"),
        error=error,
    )
    _set_contents(message, item, as_text=as_text)
    faults = [fault for fault in map(_content_fault, item.faults) if fault]
    message.fault_count = len(faults)
    message.faults.extend(listed(faults, ITEM_BYTES - message.ByteSize()))
    return message


def _set_contents(message: OperationItemMessage, item: OperationItem, *, as_text: bool) -> None:
    unsuitable = FormatUnsuitableError("operation item", f"{item.application}:{item.name}")
    try:
        if item.before is not None:
            set_json(message, "before", item.before, as_text=as_text)
        if item.after is not None:
            set_json(message, "after", item.after, as_text=as_text)
    except OverflowError as error:
        raise unsuitable from error
    if message.ByteSize() > ITEM_BYTES and not as_text:
        raise unsuitable


def _content_fault(fault: ItemFault) -> ContentFault | None:
    """Return a fault of the content; None for one of another field."""
    field, slash, pointer = fault.field.partition("/")
    if field != "config":
        return None
    return ContentFault(pointer=slash + pointer, keyword=fault.keyword, message=fault.message)
