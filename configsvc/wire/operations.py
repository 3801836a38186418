"""Long-running operations: names, requests and messages."""

from google.longrunning.operations_proto_pb2 import Operation
from google.rpc.status_pb2 import Status

from configapi.v1.configuration_service_pb2 import ChangeType
from configapi.v1.operation_service_pb2 import BulkResult, OperationMetadata
from configapi.v1.operation_service_pb2 import OperationItem as OperationItemMessage
from configapi.v1.schema_pb2 import ContentFault
from configsvc.domain.errors import Violations
from configsvc.domain.names import check_id
from configsvc.domain.operations import BulkOperation, OperationItem, OperationState
from configsvc.wire.content import struct_of
from configsvc.wire.resources import timestamp

COLLECTION = "operations"


def operation_id(name: str, field: str, violations: Violations) -> str:
    """The id in the name of an operation."""
    collection, _, found = name.partition("/")
    if collection == COLLECTION:
        check_id(found, field, violations)
    else:
        violations.add(field, "is not the name of an operation: operations/ and a ULID are expected")
    return found


def operation_message(operation: BulkOperation, error: Status | None) -> Operation:
    """The message of an operation, and of the error with which it ended."""
    message = Operation(name=f"{COLLECTION}/{operation.id}", done=operation.end_time is not None)
    message.metadata.Pack(_metadata(operation))
    if error is not None:
        message.error.CopyFrom(error)
    elif operation.state is OperationState.SUCCEEDED:
        message.response.Pack(_result(operation))
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
    )
    if operation.end_time is not None:
        metadata.end_time.CopyFrom(timestamp(operation.end_time))
    return metadata


def _result(operation: BulkOperation) -> BulkResult:
    return BulkResult(
        revision=operation.revision,
        done_count=operation.progress.done,
        failed_count=operation.progress.failed,
        created_count=operation.progress.created,
        updated_count=operation.progress.updated,
        unchanged_count=operation.progress.unchanged,
    )


def item_message(item: OperationItem, error: Status | None) -> OperationItemMessage:
    """The message of an item, and of the error with which it failed."""
    message = OperationItemMessage(
        place=item.place,
        application=item.application,
        name=item.name,
        type=ChangeType.Value(f"CHANGE_TYPE_{item.change or 'UNSPECIFIED'}"),
        error=error,
        faults=[
            ContentFault(pointer=fault.field.removeprefix("config"), keyword=fault.keyword, message=fault.message)
            for fault in item.faults
            if fault.field == "config" or fault.field.startswith("config/")
        ],
    )
    if item.before is not None:
        message.before.CopyFrom(struct_of(item.before))
    if item.after is not None:
        message.after.CopyFrom(struct_of(item.after))
    return message
