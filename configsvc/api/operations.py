"""google.longrunning.Operations and OperationService: requests to use cases, answers to messages."""

from typing import ClassVar

from google.longrunning.operations_proto_pb2 import (
    CancelOperationRequest,
    DeleteOperationRequest,
    GetOperationRequest,
    ListOperationsRequest,
    ListOperationsResponse,
    Operation,
    WaitOperationRequest,
)
from google.protobuf.empty_pb2 import Empty
from google.rpc.status_pb2 import Status

from configapi.v1.operation_service_pb2 import ListOperationItemsRequest, ListOperationItemsResponse
from configapi.v1.operation_service_pb2 import OperationItem as OperationItemMessage
from configsvc.access.caller import Caller
from configsvc.api.statuses import internal_status, status_of
from configsvc.domain.access import Role
from configsvc.domain.errors import ConfigsvcError, Violations
from configsvc.domain.operations import (
    BulkOperation,
    Failure,
    OperationItem,
    OperationKind,
    error_of_item,
    error_of_operation,
)
from configsvc.operations.use_cases import Operations
from configsvc.wire import operations as wire
from configsvc.wire.page_tokens import page_token, parsed_page_token
from configsvc.wire.requests import page_size
from configsvc.wire.responses import fitting

DEFAULT_WAIT_SECONDS = 30.0
MOST_WAIT_SECONDS = 3600.0


def owner_of(caller: Caller) -> str | None:
    """Whose operations the caller may know of; None: everybody's."""
    return None if caller.access_now.everywhere >= Role.ADMIN else caller.actor


def operation_message(operation: BulkOperation) -> Operation:
    """The message of an operation."""
    if operation.failure is Failure.INTERNAL:
        return wire.operation_message(operation, internal_status(operation.id))
    return wire.operation_message(operation, _status(error_of_operation(operation)))


def _status(error: ConfigsvcError | None) -> Status | None:
    return status_of(error) if error else None


class OperationsServicer:
    """Its methods are named for the RPCs of google.longrunning.Operations that they answer; those in LASTS may take
    long.
    """

    LASTS: ClassVar = frozenset({"WaitOperation"})

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def ListOperations(self, request: ListOperationsRequest, caller: Caller) -> ListOperationsResponse:
        violations = Violations()
        if request.name not in {"", wire.COLLECTION}:
            violations.add("name", "is not a collection of operations: leave it empty, or say operations")
        if request.filter:
            violations.add("filter", "is not supported: leave it empty")
        limit = page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(str,), violations=violations)
        violations.check()
        page = await self._operations.page(owner_of(caller), after=str(token.after[0]) if token else None, limit=limit)
        after = (page[-1].id,) if len(page) == limit else None
        return ListOperationsResponse(
            operations=[operation_message(operation) for operation in page],
            next_page_token=page_token(request, revision=0, resource_id=None, after=after),
        )

    async def GetOperation(self, request: GetOperationRequest, caller: Caller) -> Operation:
        return operation_message(await self._operations.get(_named(request.name), owner_of(caller)))

    async def CancelOperation(self, request: CancelOperationRequest, caller: Caller) -> Empty:
        await self._operations.cancel(_named(request.name), owner_of(caller))
        return Empty()

    async def DeleteOperation(self, request: DeleteOperationRequest, caller: Caller) -> Empty:
        await self._operations.delete(_named(request.name), owner_of(caller))
        return Empty()

    async def WaitOperation(self, request: WaitOperationRequest, caller: Caller) -> Operation:
        violations = Violations()
        operation_id = wire.operation_id(request.name, "name", violations)
        limit = DEFAULT_WAIT_SECONDS
        if request.HasField("timeout"):
            limit = request.timeout.seconds + request.timeout.nanos / 1e9
        if not 0 <= limit <= MOST_WAIT_SECONDS:
            violations.add("timeout", f"is {limit:g} s: must be between 0 and {MOST_WAIT_SECONDS:g} s")
        violations.check()
        owner = owner_of(caller)
        if owner is None:
            # It ends when the role does.
            caller.require_everywhere(Role.ADMIN)
        with caller.lasting("wait"):
            operation = await self._operations.wait(operation_id, owner, caller.check_current, limit_seconds=limit)
        return operation_message(operation)


class OperationServicer:
    """Its methods are named for the RPCs of OperationService that they answer."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def ListOperationItems(
        self, request: ListOperationItemsRequest, caller: Caller
    ) -> ListOperationItemsResponse:
        violations = Violations()
        operation_id = wire.operation_id(request.operation, "operation", violations)
        limit = page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(int,), violations=violations)
        violations.check()
        await self._let_read(operation_id, caller)
        after = int(token.after[0]) if token else -1
        items, more = await self._operations.items(
            operation_id, after=after, failed_only=request.failed_only, limit=limit
        )
        shown = fitting(map(_item_message, items))
        last = (shown[-1].place,) if more or len(shown) < len(items) else None
        return ListOperationItemsResponse(
            items=shown, next_page_token=page_token(request, revision=0, resource_id=None, after=last)
        )

    async def _let_read(self, operation_id: str, caller: Caller) -> None:
        operation = await self._operations.get(operation_id, owner_of(caller))
        if operation.kind is OperationKind.MIGRATE_CONFIGURATIONS:
            # A dry run shows contents, which its owner may have lost the role for.
            application_id = operation.settings["application_id"]
            assert application_id is None or isinstance(application_id, str)
            caller.require(Role.EDITOR, application_id, f"the items of {wire.COLLECTION}/{operation_id}")


def _item_message(item: OperationItem) -> OperationItemMessage:
    return wire.item_message(item, _status(error_of_item(item)))


def _named(name: str) -> str:
    violations = Violations()
    operation_id = wire.operation_id(name, "name", violations)
    violations.check()
    return operation_id
