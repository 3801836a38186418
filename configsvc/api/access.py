"""AccessService, without a transport."""

from configapi.v1.access_service_pb2 import (
    CreateRoleBindingRequest,
    CreateRoleBindingResponse,
    DeleteRoleBindingRequest,
    DeleteRoleBindingResponse,
    GetCallerRequest,
    GetCallerResponse,
    ListRoleBindingsRequest,
    ListRoleBindingsResponse,
)
from configsvc.access.caller import Caller
from configsvc.access.role_bindings import RoleBindings
from configsvc.domain.scope import Everything
from configsvc.feed.feed import Feed
from configsvc.wire import access as wire


class AccessServicer:
    """One method for each RPC, named like it. The epoch of an answer is taken before its data are read."""

    def __init__(self, role_bindings: RoleBindings, feed: Feed) -> None:
        self._role_bindings = role_bindings
        self._feed = feed

    async def CreateRoleBinding(self, request: CreateRoleBindingRequest, caller: Caller) -> CreateRoleBindingResponse:
        parsed = wire.creation(request, caller.author(Everything()))
        epoch = self._feed.epoch_for()
        created = await self._role_bindings.create(
            caller, parsed.principal, parsed.role, parsed.application, parsed.context
        )
        return wire.creation_response(created, epoch)

    async def ListRoleBindings(self, request: ListRoleBindingsRequest, caller: Caller) -> ListRoleBindingsResponse:
        parsed = wire.listing(request)
        epoch = self._feed.epoch_for(parsed.epoch)
        return wire.list_response(request, await self._role_bindings.list_page(caller, parsed), epoch)

    async def DeleteRoleBinding(self, request: DeleteRoleBindingRequest, caller: Caller) -> DeleteRoleBindingResponse:
        parsed = wire.deletion(request, caller.author(Everything()))
        epoch = self._feed.epoch_for()
        deleted = await self._role_bindings.delete(
            caller, parsed.id, allow_missing=parsed.allow_missing, context=parsed.context
        )
        return DeleteRoleBindingResponse(revision=deleted.result, epoch=epoch, changed=deleted.changed)

    async def GetCaller(self, request: GetCallerRequest, caller: Caller) -> GetCallerResponse:
        return wire.caller_message(caller.identity, caller.access)
