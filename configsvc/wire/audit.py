"""The audit trail: requests and answers."""

from configapi.v1.audit_service_pb2 import (
    RESOURCE_KIND_APPLICATION,
    RESOURCE_KIND_CONFIGURATION,
    RESOURCE_KIND_ROLE_BINDING,
    RESOURCE_KIND_SCHEMA,
    RESOURCE_KIND_UNSPECIFIED,
    ListChangesRequest,
    ResourceKind,
)
from configapi.v1.audit_service_pb2 import Change as ChangeMessage
from configapi.v1.schema_pb2 import SchemaVersionRef as SchemaVersionRefMessage
from configsvc.domain.access import check_principal
from configsvc.domain.audit import Change, ChangeFilter
from configsvc.domain.errors import Violations
from configsvc.domain.models import Kind
from configsvc.domain.names import check_id, check_name, check_text
from configsvc.domain.scope import Scope
from configsvc.wire.access import ROLES
from configsvc.wire.history import CHANGE_TYPES
from configsvc.wire.requests import application_ref, non_negative
from configsvc.wire.times import time_from, timestamp

MAX_ACTOR_LENGTH = 1024

_KINDS: dict[ResourceKind.ValueType, Kind] = {
    RESOURCE_KIND_APPLICATION: Kind.APPLICATION,
    RESOURCE_KIND_CONFIGURATION: Kind.CONFIGURATION,
    RESOURCE_KIND_SCHEMA: Kind.SCHEMA,
    RESOURCE_KIND_ROLE_BINDING: Kind.ROLE_BINDING,
}
_RESOURCE_KINDS = {kind: value for value, kind in _KINDS.items()}


def change_filter(
    request: ListChangesRequest, scope: Scope, violations: Violations, *, outside_applications: bool
) -> ChangeFilter:
    """Which changes to list."""
    check_text(request.actor, "actor", MAX_ACTOR_LENGTH, violations)
    if request.resource_id:
        check_id(request.resource_id, "resource_id", violations)
    if request.resource_name:
        # Of a role binding, it is the principal; a name has no colon.
        check = check_principal if ":" in request.resource_name else check_name
        check(request.resource_name, "resource_name", violations)
    application, start, end = None, None, None
    if request.HasField("application"):
        application = application_ref(request.application, "application", violations)
    if request.HasField("start_time"):
        start = time_from(request.start_time, "start_time", violations)
    if request.HasField("end_time"):
        end = time_from(request.end_time, "end_time", violations)
    if start and end and start > end:
        violations.add("end_time", "is before start_time")
    return ChangeFilter(
        scope=scope,
        outside_applications=outside_applications,
        actor=request.actor,
        application=application,
        kind=_kind(request.kind, violations),
        resource_id=request.resource_id or None,
        resource_name=request.resource_name or None,
        start_time=start,
        end_time=end,
        after_revision=non_negative(request.after_revision, "after_revision", violations),
        until_revision=non_negative(request.until_revision, "until_revision", violations) or None,
    )


def _kind(kind: ResourceKind.ValueType, violations: Violations) -> Kind | None:
    if kind not in ResourceKind.values():
        violations.add("kind", f"is {kind}: not a ResourceKind")
    return None if kind == RESOURCE_KIND_UNSPECIFIED else _KINDS.get(kind)


def change_message(change: Change) -> ChangeMessage:
    """The message of a change."""
    schema = change.schema
    return ChangeMessage(
        revision=change.position.revision,
        time=timestamp(change.time),
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
        actor=change.actor,
        reason=change.reason,
        request_id=change.request_id,
        peer=change.origin.peer,
        change_request=change.origin.change_request,
        role=ROLES[change.role],
    )
