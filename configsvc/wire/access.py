"""Access: requests and answers."""

from datetime import UTC, datetime

from configapi.v1.access_service_pb2 import (
    AUTHENTICATION_MTLS,
    AUTHENTICATION_NONE,
    AUTHENTICATION_OIDC,
    ROLE_ADMIN,
    ROLE_EDITOR,
    ROLE_UNSPECIFIED,
    ROLE_VIEWER,
    ApplicationRole,
    CreateRoleBindingRequest,
    GetCallerResponse,
    ListRoleBindingsRequest,
)
from configapi.v1.access_service_pb2 import Authentication as AuthenticationMessage
from configapi.v1.access_service_pb2 import Role as RoleMessage
from configapi.v1.access_service_pb2 import RoleBinding as RoleBindingMessage
from configsvc.domain.access import Access, Authentication, Identity, Role, RoleBinding, check_principal
from configsvc.domain.errors import Violations
from configsvc.domain.models import ApplicationRef
from configsvc.wire.requests import application_ref
from configsvc.wire.times import timestamp

MAX_APPLICATION_ROLES = 1000

ROLES: dict[Role, RoleMessage.ValueType] = {
    Role.NONE: ROLE_UNSPECIFIED,
    Role.VIEWER: ROLE_VIEWER,
    Role.EDITOR: ROLE_EDITOR,
    Role.ADMIN: ROLE_ADMIN,
}
_GIVEN = {value: role for role, value in ROLES.items() if role is not Role.NONE}
_AUTHENTICATIONS: dict[Authentication, AuthenticationMessage.ValueType] = {
    Authentication.NONE: AUTHENTICATION_NONE,
    Authentication.OIDC: AUTHENTICATION_OIDC,
    Authentication.MTLS: AUTHENTICATION_MTLS,
}


def new_role(request: CreateRoleBindingRequest, violations: Violations) -> Role:
    """The role that is to be given; notes a fault of the principal too."""
    check_principal(request.principal, "principal", violations)
    role = _GIVEN.get(request.role)
    if role is None:
        violations.add("role", f"is {request.role}: must be ROLE_VIEWER, ROLE_EDITOR or ROLE_ADMIN")
        return Role.NONE
    return role


def application_if_any(
    request: CreateRoleBindingRequest | ListRoleBindingsRequest, violations: Violations
) -> ApplicationRef | None:
    """The application that the request is about, if it names one."""
    if not request.HasField("application"):
        return None
    return application_ref(request.application, "application", violations)


def role_binding_message(binding: RoleBinding) -> RoleBindingMessage:
    """The message of a role binding."""
    return RoleBindingMessage(
        id=binding.id,
        principal=binding.principal,
        role=ROLES[binding.role],
        application_id=binding.application_id or "",
        application=binding.application or "",
        revision=binding.revision,
        create_time=timestamp(binding.create_time),
        created_by=binding.created_by,
    )


def caller_message(identity: Identity, access: Access) -> GetCallerResponse:
    """Who somebody is, and what they may do."""
    roles = _application_roles(access)
    message = GetCallerResponse(
        principal=identity.principal,
        groups=sorted(identity.groups),
        authentication=_AUTHENTICATIONS[identity.authentication],
        role=ROLES[access.everywhere],
        application_roles=roles[:MAX_APPLICATION_ROLES],
        more_application_roles=len(roles) > MAX_APPLICATION_ROLES,
    )
    if identity.expires is not None:
        message.expire_time.CopyFrom(timestamp(datetime.fromtimestamp(identity.expires, UTC)))
    return message


def _application_roles(access: Access) -> list[ApplicationRole]:
    return [
        ApplicationRole(application_id=application_id, application=name, role=ROLES[access.roles[application_id]])
        for name, application_id in sorted(access.ids.items())
        if access.roles[application_id] > access.everywhere
    ]
