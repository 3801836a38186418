"""AccessService, without a transport."""

from configapi.v1.access_service_pb2 import (
    CreateRoleBindingRequest,
    DeleteRoleBindingRequest,
    DeleteRoleBindingResponse,
    GetCallerRequest,
    GetCallerResponse,
    ListRoleBindingsRequest,
    ListRoleBindingsResponse,
    RoleBinding,
)
from configsvc.access.caller import Caller
from configsvc.access.role_bindings import RoleBindings
from configsvc.domain.scope import Everything
from configsvc.wire import access as wire


class AccessServicer:
    """One method for each RPC, named like it."""

    def __init__(self, role_bindings: RoleBindings) -> None:
        self._role_bindings = role_bindings

    async def CreateRoleBinding(self, request: CreateRoleBindingRequest, caller: Caller) -> RoleBinding:
        parsed = wire.creation(request, caller.author(Everything()))
        binding = await self._role_bindings.create(
            caller, parsed.principal, parsed.role, parsed.application, parsed.context
        )
        return wire.role_binding_message(binding)

    async def ListRoleBindings(self, request: ListRoleBindingsRequest, caller: Caller) -> ListRoleBindingsResponse:
        page = await self._role_bindings.list_page(caller, wire.listing(request))
        return wire.list_response(request, page)

    async def DeleteRoleBinding(self, request: DeleteRoleBindingRequest, caller: Caller) -> DeleteRoleBindingResponse:
        parsed = wire.deletion(request, caller.author(Everything()))
        return DeleteRoleBindingResponse(revision=await self._role_bindings.delete(caller, parsed.id, parsed.context))

    async def GetCaller(self, request: GetCallerRequest, caller: Caller) -> GetCallerResponse:
        return wire.caller_message(caller.identity, caller.access)
