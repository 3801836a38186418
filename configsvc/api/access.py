"""AccessService: requests to use cases, answers to messages."""

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
from configsvc.domain.access import check_principal
from configsvc.domain.errors import Violations
from configsvc.domain.names import check_id
from configsvc.domain.scope import Everything
from configsvc.wire import requests
from configsvc.wire.access import application_if_any, caller_message, new_role, role_binding_message
from configsvc.wire.page_tokens import page_token, parsed_page_token
from configsvc.wire.responses import fitting


class AccessServicer:
    """Its methods are named for the RPCs that they answer."""

    def __init__(self, role_bindings: RoleBindings) -> None:
        self._role_bindings = role_bindings

    async def CreateRoleBinding(self, request: CreateRoleBindingRequest, caller: Caller) -> RoleBinding:
        violations = Violations()
        role = new_role(request, violations)
        application = application_if_any(request, violations)
        context = requests.write_context(request, caller, Everything(), violations)
        violations.check()
        return role_binding_message(
            await self._role_bindings.create(caller, request.principal, role, application, context)
        )

    async def ListRoleBindings(self, request: ListRoleBindingsRequest, caller: Caller) -> ListRoleBindingsResponse:
        violations = Violations()
        if request.principal:
            check_principal(request.principal, "principal", violations)
        application = application_if_any(request, violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        limit = requests.page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(str,), violations=violations)
        violations.check()
        page = await self._role_bindings.list_page(
            caller,
            principal=request.principal,
            ref=application,
            min_revision=min_revision,
            revision=token.revision if token else None,
            after=str(token.after[0]) if token else None,
            limit=limit,
        )
        shown = fitting(map(role_binding_message, page.resources))
        last_key = (shown[-1].id,) if len(shown) < len(page.resources) else page.last_key
        return ListRoleBindingsResponse(
            role_bindings=shown,
            next_page_token=page_token(request, revision=page.revision, resource_id=None, after=last_key),
            revision=page.revision,
        )

    async def DeleteRoleBinding(self, request: DeleteRoleBindingRequest, caller: Caller) -> DeleteRoleBindingResponse:
        violations = Violations()
        check_id(request.id, "id", violations)
        context = requests.write_context(request, caller, Everything(), violations)
        violations.check()
        return DeleteRoleBindingResponse(revision=await self._role_bindings.delete(caller, request.id, context))

    async def GetCaller(self, request: GetCallerRequest, caller: Caller) -> GetCallerResponse:
        return caller_message(caller.identity, caller.access)
