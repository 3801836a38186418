"""Helpers that create and delete role bindings."""

from typing import Any

from google.protobuf.empty_pb2 import Empty

from configapi.v1.access_service_pb2 import (
    CreateRoleBindingRequest,
    DeleteRoleBindingRequest,
    ListRoleBindingsRequest,
    Role,
    RoleBinding,
)
from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest
from tests.identity.tokens import bearing
from tests.service import Service

VIEWER, EDITOR, ADMIN = Role.ROLE_VIEWER, Role.ROLE_EDITOR, Role.ROLE_ADMIN


async def create_application(service: Service, name: str) -> Application:
    request = CreateApplicationRequest(name=name)
    return (await service.applications.CreateApplication(request, metadata=bearing("root"))).application


async def bind(
    service: Service,
    principal: str,
    role: Role.ValueType,
    application: ApplicationRef | str | None = None,
    *,
    by: str = "root",
    **fields: Any,
) -> RoleBinding:
    """Bind the role for the application; without one, for all applications."""
    ref = ApplicationRef(name=application) if isinstance(application, str) else application
    everywhere = Empty() if ref is None else None
    request = CreateRoleBindingRequest(
        principal=principal, role=role, application=ref, all_applications=everywhere, **fields
    )
    return (await service.access.CreateRoleBinding(request, metadata=bearing(by))).role_binding


async def unbind(service: Service, binding_id: str, *, by: str = "root", **fields: Any) -> int:
    request = DeleteRoleBindingRequest(id=binding_id, **fields)
    return (await service.access.DeleteRoleBinding(request, metadata=bearing(by))).revision


async def bindings(service: Service, *, by: str = "root", **fields: Any) -> list[RoleBinding]:
    request = ListRoleBindingsRequest(**fields)
    return [*(await service.access.ListRoleBindings(request, metadata=bearing(by))).role_bindings]
