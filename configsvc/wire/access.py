"""AccessService: requests and responses. Parsers raise InvalidRequestError with every fault."""

from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from configapi.v1.access_service_pb2 import (
    AUTHENTICATION_MTLS,
    AUTHENTICATION_NONE,
    AUTHENTICATION_OIDC,
    ROLE_ADMIN,
    ROLE_EDITOR,
    ROLE_UNSPECIFIED,
    ROLE_VIEWER,
    ApplicationRole,
    BoundApplication,
    CreateRoleBindingRequest,
    CreateRoleBindingResponse,
    DeleteRoleBindingRequest,
    GetCallerResponse,
    ListRoleBindingsRequest,
    ListRoleBindingsResponse,
)
from configapi.v1.access_service_pb2 import Authentication as AuthenticationMessage
from configapi.v1.access_service_pb2 import Role as RoleMessage
from configapi.v1.access_service_pb2 import RoleBinding as RoleBindingMessage
from configsvc.domain.access import (
    Access,
    Authentication,
    Identity,
    Role,
    RoleBinding,
    check_new_principal,
    check_principal,
)
from configsvc.domain.errors import Violations
from configsvc.domain.models import ApplicationRef, Done, Page, WriteContext
from configsvc.domain.names import check_id
from configsvc.domain.requests import Author, RoleBindingListing
from configsvc.wire.fields import application_if_any, write_context
from configsvc.wire.moments import epoch, moment
from configsvc.wire.paging import fitting_list, name_key, page_request
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A CreateRoleBindingRequest. `application` None: for all applications."""

    principal: str
    role: Role
    application: ApplicationRef | None
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A DeleteRoleBindingRequest. `allow_missing`: if it exists."""

    id: str
    allow_missing: bool
    context: WriteContext


def creation(request: CreateRoleBindingRequest, author: Author) -> Creation:
    with Violations() as violations:
        check_new_principal(request.principal, "principal", violations)
        return Creation(
            principal=request.principal,
            role=_new_role(request, violations),
            application=_scope(request, violations),
            context=write_context(request, author, violations),
        )


def _scope(request: CreateRoleBindingRequest, violations: Violations) -> ApplicationRef | None:
    if request.WhichOneof("scope") is None:
        violations.add("scope", "is required: set application, or all_applications to {}")
    return application_if_any(request, violations)


def _new_role(request: CreateRoleBindingRequest, violations: Violations) -> Role:
    role = _GIVEN.get(request.role)
    if role is None:
        violations.add("role", f"is {request.role}: must be ROLE_VIEWER, ROLE_EDITOR or ROLE_ADMIN")
        return Role.NONE
    return role


def listing(request: ListRoleBindingsRequest) -> RoleBindingListing:
    with Violations() as violations:
        if request.principal:
            check_principal(request.principal, "principal", violations)
        return RoleBindingListing(
            principal=request.principal,
            application=application_if_any(request, violations),
            moment=moment(request, violations),
            epoch=epoch(request.epoch, violations),
            page=page_request(request, name_key, violations),
        )


def deletion(request: DeleteRoleBindingRequest, author: Author) -> Deletion:
    with Violations() as violations:
        check_id(request.id, "id", violations)
        return Deletion(
            id=request.id,
            allow_missing=request.allow_missing,
            context=write_context(request, author, violations),
        )


def role_binding_message(binding: RoleBinding) -> RoleBindingMessage:
    """Return the message of a role binding."""
    application, everywhere = None, None
    if binding.application_id is None:
        everywhere = Empty()
    else:
        application = BoundApplication(id=binding.application_id, name=binding.application or "")
    return RoleBindingMessage(
        id=binding.id,
        principal=binding.principal,
        role=ROLES[binding.role],
        application=application,
        all_applications=everywhere,
        revision=binding.revision,
        create_time=timestamp(binding.create_time),
        created_by=binding.created_by,
    )


def creation_response(done: Done[RoleBinding], epoch: str) -> CreateRoleBindingResponse:
    """Return the response to a creation."""
    return CreateRoleBindingResponse(
        role_binding=role_binding_message(done.result),
        revision=done.result.revision,
        epoch=epoch,
        changed=done.changed,
    )


def list_response(request: ListRoleBindingsRequest, page: Page[RoleBinding], epoch: str) -> ListRoleBindingsResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(request, page, role_binding_message, lambda binding: (binding.id,))
    return ListRoleBindingsResponse(
        role_bindings=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision, epoch=epoch
    )


def caller_message(identity: Identity, access: Access) -> GetCallerResponse:
    """Return the message of a caller and its roles."""
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
