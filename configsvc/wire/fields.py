"""Fields that the requests of several services share.

Each function adds the faults it finds to `violations` and returns a value to use only if there are none. `field` is the
path of the value in the request; empty for the request itself.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from configapi.v1.access_service_pb2 import (
    CreateRoleBindingRequest,
    DeleteRoleBindingRequest,
    ListRoleBindingsRequest,
)
from configapi.v1.application_pb2 import ApplicationRef as ApplicationRefMessage
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    GetApplicationRequest,
    UpdateApplicationRequest,
)
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, ConfigurationView
from configapi.v1.configuration_pb2 import ConfigurationRef as ConfigurationRefMessage
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    DiffConfigurationVersionsRequest,
    GetConfigurationRequest,
    ListConfigurationVersionsRequest,
    RollbackConfigurationRequest,
    UndeleteConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.schema_pb2 import SchemaVersionRef as SchemaVersionRefMessage
from configapi.v1.schema_service_pb2 import (
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
    DeleteSchemaRequest,
    ImportSchemasRequest,
    MigrateConfigurationsRequest,
)
from configapi.v1.source_service_pb2 import (
    ApplySourceRequest,
    ListAppliedConfigurationsRequest,
    ListSourcesRequest,
    ReleaseSourceRequest,
)
from configsvc.domain.errors import Violations
from configsvc.domain.models import (
    ApplicationRef,
    ConfigurationRef,
    IdRef,
    KeyRef,
    NameRef,
    Origin,
    SchemaVersionRef,
    WriteContext,
)
from configsvc.domain.names import (
    MAX_COMMENTS_LENGTH,
    MAX_REASON_LENGTH,
    canonical_request_id,
    check_change_request,
    check_configuration_name,
    check_id,
    check_name,
    check_name_prefix,
    check_text,
)
from configsvc.domain.requests import Author
from configsvc.wire.fingerprints import fingerprint

# More than any resource has fields.
MAX_MASK_PATHS = 100

AnyApplicationRef = ApplicationRefMessage | GetApplicationRequest | UpdateApplicationRequest | DeleteApplicationRequest
AnyConfigurationRef = (
    ConfigurationRefMessage
    | GetConfigurationRequest
    | UpdateConfigurationRequest
    | DeleteConfigurationRequest
    | ListConfigurationVersionsRequest
    | DiffConfigurationVersionsRequest
    | RollbackConfigurationRequest
    | UndeleteConfigurationRequest
    | ConfigurationChangeItem
    | ConfigurationDeletionItem
)
AnyOfApplication = CreateRoleBindingRequest | ListRoleBindingsRequest | ListChangesRequest | ListSourcesRequest
AnyOfOneApplication = ApplySourceRequest | ReleaseSourceRequest | ListAppliedConfigurationsRequest
AnyWrite = (
    UpdateApplicationRequest
    | UpdateConfigurationRequest
    | BatchWriteConfigurationsRequest
    | CreateApplicationRequest
    | DeleteApplicationRequest
    | CreateConfigurationRequest
    | DeleteConfigurationRequest
    | CreateSchemaRequest
    | CreateSchemaVersionRequest
    | DeleteSchemaRequest
    | ImportSchemasRequest
    | RollbackConfigurationRequest
    | UndeleteConfigurationRequest
    | MigrateConfigurationsRequest
    | CreateRoleBindingRequest
    | DeleteRoleBindingRequest
    | ApplySourceRequest
)


def path_of(parent: str, child: str) -> str:
    """Return the path of a field of a message."""
    return f"{parent}.{child}" if parent else child


def application_ref(message: AnyApplicationRef, field: str, violations: Violations) -> ApplicationRef:
    """Return the application that the message names."""
    match message.WhichOneof("ref"):
        case "id":
            check_id(message.id, path_of(field, "id"), violations)
            return IdRef(id=message.id)
        case "name":
            check_name(message.name, path_of(field, "name"), violations)
            return NameRef(name=message.name)
        case None:
            violations.add(field or "ref", "must name an application: set id or name")
            return NameRef(name="")


def application_if_any(request: AnyOfApplication, violations: Violations) -> ApplicationRef | None:
    """Return the application that the request is about; None if it names none."""
    if not request.HasField("application"):
        return None
    return application_ref(request.application, "application", violations)


def required_application(request: AnyOfOneApplication, violations: Violations) -> ApplicationRef:
    """Return the application that the request must name."""
    return application_ref(request.application, "application", violations)


def configuration_ref(message: AnyConfigurationRef, field: str, violations: Violations) -> ConfigurationRef:
    """Return the configuration that the message names."""
    match message.WhichOneof("ref"):
        case "id":
            check_id(message.id, path_of(field, "id"), violations)
            return IdRef(id=message.id)
        case "key":
            check_name(message.key.application, path_of(field, "key.application"), violations)
            check_configuration_name(message.key.name, path_of(field, "key.name"), violations)
            return KeyRef(application=message.key.application, name=message.key.name)
        case None:
            violations.add(field or "ref", "must name a configuration: set id or key")
            return IdRef(id="")


def schema_version_ref(message: SchemaVersionRefMessage, field: str, violations: Violations) -> SchemaVersionRef:
    """Return a version of a schema; version 0 if the message has none."""
    check_name(message.schema, f"{field}.schema", violations)
    return SchemaVersionRef(
        schema=message.schema, version=non_negative(message.version, f"{field}.version", violations)
    )


def write_context(request: AnyWrite, author: Author, violations: Violations) -> WriteContext:
    """Return who asks for a change and why. The fingerprint covers the actor: a request_id belongs to its caller."""
    check_text(request.reason, "reason", MAX_REASON_LENGTH, violations)
    request_id = canonical_request_id(request.request_id, "request_id", violations)
    return WriteContext(
        actor=author.actor,
        origin=origin(request.change_request, author.origin, violations),
        reason=request.reason,
        request_id=request_id,
        fingerprint=_fingerprint(request, request_id, author.actor),
        validate_only=request.validate_only,
        scope=author.scope,
    )


def context_of_release(request: ReleaseSourceRequest, author: Author, violations: Violations) -> WriteContext:
    """Return who asks for a change that is no part of the history, and so has no reason."""
    request_id = canonical_request_id(request.request_id, "request_id", violations)
    return WriteContext(
        actor=author.actor,
        origin=author.origin,
        reason="",
        request_id=request_id,
        fingerprint=_fingerprint(request, request_id, author.actor),
        validate_only=request.validate_only,
        scope=author.scope,
    )


def _fingerprint(request: Message, request_id: str, actor: str) -> bytes:
    return fingerprint(request, without=("request_id",), salt=actor) if request_id else b""


def origin(change_request: str, given: Origin, violations: Violations) -> Origin:
    """Return the origin of a change; the change request in the request counts more than the one in the metadata."""
    if not change_request:
        return given
    check_change_request(change_request, "change_request", violations)
    return replace(given, change_request=change_request)


def new_name(name: str, field: str, violations: Violations) -> str:
    """Return the name of an application or a schema."""
    check_name(name, field, violations)
    return name


def configuration_name(name: str, field: str, violations: Violations) -> str:
    """Return the name of a configuration."""
    check_configuration_name(name, field, violations)
    return name


def comments(text: str, field: str, violations: Violations) -> str:
    """Return the comments of a resource."""
    check_text(text, field, MAX_COMMENTS_LENGTH, violations)
    return text


def name_prefix(prefix: str, violations: Violations) -> str:
    """Return the `name_prefix` of a list."""
    check_name_prefix(prefix, "name_prefix", violations)
    return prefix


def non_negative(value: int, field: str, violations: Violations) -> int:
    """Return a revision or version; 0 if there is none."""
    if value < 0:
        violations.add(field, f"is {value}: must not be negative")
    return value


def not_one_of(names: Iterable[str], value: int) -> str:
    """Return the fault of a value that an enumeration does not have."""
    return f"is {value}: must be one of {', '.join(names)}"


def wants_config(view: ConfigurationView.ValueType, violations: Violations) -> bool:
    """Return whether the view includes config."""
    if view not in ConfigurationView.values():
        violations.add("view", not_one_of(ConfigurationView.keys(), view))
    return view != CONFIGURATION_VIEW_BASIC


def updated_paths(
    mask: FieldMask, field: str, allowed: tuple[str, ...], populated: Collection[str], violations: Violations
) -> Collection[str]:
    """Return the fields to update: those in the mask or, without one, those that are populated."""
    if len(mask.paths) > MAX_MASK_PATHS:
        violations.add(field, f"lists {len(mask.paths)} fields: at most {MAX_MASK_PATHS} are allowed")
        return populated
    for path in mask.paths:
        if path != "*" and path not in allowed:
            violations.add(field, f"lists {path[:100]!r}: only {', '.join(allowed)} and * can be updated")
    if "*" in mask.paths:
        return allowed
    return mask.paths or populated
