"""google.longrunning.Operations and OperationService, without a transport."""

from functools import partial
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
from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.operations import (
    BulkOperation,
    Failure,
    OperationItem,
    OperationKind,
    error_of_item,
    error_of_operation,
)
from configsvc.feed.feed import Feed
from configsvc.operations.use_cases import Operations
from configsvc.wire import operations as wire
from configsvc.wire.paging import fitting_page


def owner_of(caller: Caller) -> str | None:
    """Return the actor whose operations the caller may see; None: every actor."""
    return None if caller.access_now.everywhere >= Role.ADMIN else caller.actor


def operation_message(operation: BulkOperation, epoch: str) -> Operation:
    """Return the message of an operation. `epoch`: that of its revision."""
    if operation.failure is Failure.INTERNAL:
        return wire.operation_message(operation, internal_status(operation.id), epoch)
    return wire.operation_message(operation, _status(error_of_operation(operation)), epoch)


def _item_message(item: OperationItem, *, as_text: bool) -> OperationItemMessage:
    return wire.item_message(item, _status(error_of_item(item)), as_text=as_text)


def _status(error: ConfigsvcError | None) -> Status | None:
    return status_of(error) if error else None


class OperationsServicer:
    """One method for each RPC of google.longrunning.Operations; those in LASTS may outlast the roles of the caller."""

    LASTS: ClassVar = frozenset({"WaitOperation"})

    def __init__(self, operations: Operations, feed: Feed) -> None:
        self._operations = operations
        self._feed = feed

    async def ListOperations(self, request: ListOperationsRequest, caller: Caller) -> ListOperationsResponse:
        parsed = wire.listing(request)
        message = partial(operation_message, epoch=self._feed.epoch_for())
        page, last = await self._operations.page(owner_of(caller), after=parsed.after, limit=parsed.limit)
        last_key = None if last is None else (last,)
        fitted = fitting_page(request, page, message, lambda operation: (operation.id,), last_key=last_key)
        return ListOperationsResponse(operations=fitted.messages, next_page_token=fitted.next_page_token)

    async def GetOperation(self, request: GetOperationRequest, caller: Caller) -> Operation:
        operation_id, epoch = wire.operation_id(request.name), self._feed.epoch_for()
        return operation_message(await self._operations.get(operation_id, owner_of(caller)), epoch)

    async def CancelOperation(self, request: CancelOperationRequest, caller: Caller) -> Empty:
        await self._operations.cancel(wire.operation_id(request.name), owner_of(caller))
        return Empty()

    async def DeleteOperation(self, request: DeleteOperationRequest, caller: Caller) -> Empty:
        await self._operations.delete(wire.operation_id(request.name), owner_of(caller))
        return Empty()

    async def WaitOperation(self, request: WaitOperationRequest, caller: Caller) -> Operation:
        parsed, owner, check = wire.wait(request), owner_of(caller), caller.check_current
        if owner is None:
            # Registers the role, so that the wait ends with it.
            caller.require_everywhere(Role.ADMIN)
        # As everywhere, never newer than the data: those of the last poll.
        epoch = self._feed.epoch_for()
        with caller.long_lived("wait"):
            limit = parsed.limit_seconds
            operation = await self._operations.wait(parsed.operation_id, owner, check, limit_seconds=limit)
        return operation_message(operation, epoch)


class OperationServicer:
    """One method for each RPC of OperationService."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def ListOperationItems(
        self, request: ListOperationItemsRequest, caller: Caller
    ) -> ListOperationItemsResponse:
        parsed = wire.item_listing(request)
        await self._require_reader(parsed.listing.operation_id, caller)
        items, last = await self._operations.items(parsed.listing)
        last_key = None if last is None else (last,)
        message = partial(_item_message, as_text=parsed.as_text)
        fitted = fitting_page(request, items, message, lambda item: (item.index,), last_key=last_key)
        return ListOperationItemsResponse(items=fitted.messages, next_page_token=fitted.next_page_token)

    async def _require_reader(self, operation_id: str, caller: Caller) -> None:
        operation = await self._operations.get(operation_id, owner_of(caller))
        if operation.kind is OperationKind.MIGRATE_CONFIGURATIONS:
            # A dry run shows contents, and the owner may have lost the role for them.
            application_id = operation.settings["application_id"]
            assert application_id is None or isinstance(application_id, str)
            caller.require(Role.EDITOR, application_id, f"the items of {wire.COLLECTION}/{operation_id}")
