"""AuditService: requests and responses. The parser raises InvalidRequestError with every fault."""

from dataclasses import dataclass
from datetime import datetime

from configapi.v1.audit_service_pb2 import (
    RESOURCE_KIND_APPLICATION,
    RESOURCE_KIND_CONFIGURATION,
    RESOURCE_KIND_ROLE_BINDING,
    RESOURCE_KIND_SCHEMA,
    RESOURCE_KIND_UNSPECIFIED,
    ListChangesRequest,
    ListChangesResponse,
    ResourceKind,
)
from configapi.v1.audit_service_pb2 import Change as ChangeMessage
from configapi.v1.change_pb2 import ChangeOrigin
from configapi.v1.schema_pb2 import SchemaVersionRef as SchemaVersionRefMessage
from configsvc.domain.access import check_principal
from configsvc.domain.audit import Change, ChangeFilter, ChangesPage, LogPosition
from configsvc.domain.errors import Violations
from configsvc.domain.models import Kind
from configsvc.domain.names import check_configuration_name, check_id, check_text
from configsvc.domain.requests import PageRequest
from configsvc.domain.scope import Scope
from configsvc.wire.access import ROLES
from configsvc.wire.fields import application_if_any, non_negative, not_one_of
from configsvc.wire.history import CHANGE_TYPES
from configsvc.wire.moments import epoch
from configsvc.wire.paging import fitting_page, log_position_key, page_request
from configsvc.wire.times import time_from, timestamp

MAX_ACTOR_LENGTH = 1024

_KINDS: dict[ResourceKind.ValueType, Kind] = {
    RESOURCE_KIND_APPLICATION: Kind.APPLICATION,
    RESOURCE_KIND_CONFIGURATION: Kind.CONFIGURATION,
    RESOURCE_KIND_SCHEMA: Kind.SCHEMA,
    RESOURCE_KIND_ROLE_BINDING: Kind.ROLE_BINDING,
}
_RESOURCE_KINDS = {kind: value for value, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeListing:
    """A ListChangesRequest. `epoch` empty: any."""

    chosen: ChangeFilter
    epoch: str
    page: PageRequest[LogPosition]


def listing(request: ListChangesRequest, scope: Scope, *, outside_applications: bool) -> ChangeListing:
    with Violations() as violations:
        check_text(request.actor, "actor", MAX_ACTOR_LENGTH, violations)
        start, end = _times(request, violations)
        chosen = ChangeFilter(
            scope=scope,
            outside_applications=outside_applications,
            actor=request.actor,
            application=application_if_any(request, violations),
            kind=_kind(request.kind, violations),
            resource_id=_resource_id(request, violations),
            resource_name=_resource_name(request, violations),
            start_time=start,
            end_time=end,
            after_revision=non_negative(request.after_revision, "after_revision", violations),
            until_revision=non_negative(request.until_revision, "until_revision", violations) or None,
        )
        return ChangeListing(
            chosen=chosen,
            epoch=epoch(request.epoch, violations),
            page=page_request(request, log_position_key, violations),
        )


def _resource_id(request: ListChangesRequest, violations: Violations) -> str | None:
    if request.resource_id:
        check_id(request.resource_id, "resource_id", violations)
    return request.resource_id or None


def _resource_name(request: ListChangesRequest, violations: Violations) -> str | None:
    if request.resource_name:
        # A role binding is named by its principal; a name has no colon. Only configurations may have a slash in it.
        check = check_principal if ":" in request.resource_name else check_configuration_name
        check(request.resource_name, "resource_name", violations)
    return request.resource_name or None


def _times(request: ListChangesRequest, violations: Violations) -> tuple[datetime | None, datetime | None]:
    start, end = None, None
    if request.HasField("start_time"):
        start = time_from(request.start_time, "start_time", violations)
    if request.HasField("end_time"):
        end = time_from(request.end_time, "end_time", violations)
    if start and end and start > end:
        violations.add("end_time", "is before start_time")
    return start, end


def _kind(kind: ResourceKind.ValueType, violations: Violations) -> Kind | None:
    if kind not in ResourceKind.values():
        violations.add("kind", not_one_of(ResourceKind.keys(), kind))
    return None if kind == RESOURCE_KIND_UNSPECIFIED else _KINDS.get(kind)


def change_message(change: Change) -> ChangeMessage:
    """Return the message of a change."""
    schema = change.schema
    return ChangeMessage(
        revision=change.position.revision,
        type=CHANGE_TYPES[change.operation],
        kind=_RESOURCE_KINDS[change.kind],
        resource_id=change.resource_id,
        version=change.position.version,
        previous_version=change.previous_version,
        application_id=change.application_id,
        application=change.application,
        name=change.name,
        previous_name=change.previous_name,
        schema=SchemaVersionRefMessage(schema=schema.schema, version=schema.version) if schema else None,
        origin=_origin(change),
        peer=change.origin.peer,
        role=ROLES[change.role],
    )


def _origin(change: Change) -> ChangeOrigin:
    return ChangeOrigin(
        actor=change.actor,
        reason=change.reason,
        request_id=change.request_id,
        change_request=change.origin.change_request,
        commit_time=timestamp(change.time),
    )


def list_response(request: ListChangesRequest, page: ChangesPage, epoch: str) -> ListChangesResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_page(request, page.changes, change_message, lambda change: change.position, last_key=page.last)
    return ListChangesResponse(
        changes=fitted.messages,
        next_page_token=fitted.next_page_token,
        compacted_revision=page.compacted_revision,
        revision=page.head,
        epoch=epoch,
    )
