"""What requests say, checked: each function adds the faults it finds, and answers with something that is used only
when there are none.
"""

from collections.abc import Collection

from google.protobuf.field_mask_pb2 import FieldMask

from configapi.v1.access_service_pb2 import CreateRoleBindingRequest, DeleteRoleBindingRequest
from configapi.v1.application_pb2 import ApplicationRef as ApplicationRefMessage
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    GetApplicationRequest,
    UpdateApplicationRequest,
)
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, ConfigurationView
from configapi.v1.configuration_pb2 import Configuration as ConfigurationMessage
from configapi.v1.configuration_pb2 import ConfigurationRef as ConfigurationRefMessage
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchWriteConfigurationsRequest,
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    ConfigurationItem,
    CreateConfigurationRequest,
    DeleteConfigurationRequest,
    DiffConfigurationVersionsRequest,
    GetConfigurationRequest,
    ListConfigurationsRequest,
    ListConfigurationVersionsRequest,
    RollbackConfigurationRequest,
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
from configsvc.access.caller import Caller
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import Violations
from configsvc.domain.models import (
    ApplicationRef,
    ApplicationUpdate,
    ConfigurationFilter,
    ConfigurationRef,
    ConfigurationUpdate,
    IdRef,
    KeyRef,
    NameRef,
    SchemaVersionRef,
    Unpinned,
    WriteContext,
)
from configsvc.domain.names import (
    MAX_COMMENTS_LENGTH,
    MAX_REASON_LENGTH,
    canonical_request_id,
    check_id,
    check_name,
    check_name_prefix,
    check_text,
)
from configsvc.domain.scope import Scope
from configsvc.wire.content import content_from
from configsvc.wire.fingerprints import fingerprint

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 50
MAX_BATCH = 1000
MAX_JSON_PATH_LENGTH = 1024

AnyApplicationRef = ApplicationRefMessage | GetApplicationRequest | UpdateApplicationRequest | DeleteApplicationRequest
AnyConfigurationRef = (
    ConfigurationRefMessage
    | GetConfigurationRequest
    | UpdateConfigurationRequest
    | DeleteConfigurationRequest
    | ListConfigurationVersionsRequest
    | DiffConfigurationVersionsRequest
    | RollbackConfigurationRequest
    | ConfigurationChangeItem
    | ConfigurationDeletionItem
)
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
    | MigrateConfigurationsRequest
    | CreateRoleBindingRequest
    | DeleteRoleBindingRequest
)


def application_ref(message: AnyApplicationRef, field: str, violations: Violations) -> ApplicationRef:
    """The application that the message names; field is the path of the message, empty for the request itself."""
    match message.WhichOneof("ref"):
        case "id":
            check_id(message.id, _path(field, "id"), violations)
            return IdRef(id=message.id)
        case "name":
            check_name(message.name, _path(field, "name"), violations)
            return NameRef(name=message.name)
        case None:
            violations.add(field or "ref", "must name an application: set id or name")
            return NameRef(name="")


def configuration_ref(message: AnyConfigurationRef, field: str, violations: Violations) -> ConfigurationRef:
    """The configuration that the message names; field is the path of the message, empty for the request itself."""
    match message.WhichOneof("ref"):
        case "id":
            check_id(message.id, _path(field, "id"), violations)
            return IdRef(id=message.id)
        case "key":
            check_name(message.key.application, _path(field, "key.application"), violations)
            check_name(message.key.name, _path(field, "key.name"), violations)
            return KeyRef(application=message.key.application, name=message.key.name)
        case None:
            violations.add(field or "ref", "must name a configuration: set id or key")
            return IdRef(id="")


def configuration_refs(request: BatchGetConfigurationsRequest, violations: Violations) -> list[ConfigurationRef]:
    """The configurations that a batch names."""
    if not 1 <= len(request.refs) <= MAX_BATCH:
        violations.add("refs", f"has {len(request.refs)} items: must have between 1 and {MAX_BATCH}")
    return [configuration_ref(ref, f"refs[{index}]", violations) for index, ref in enumerate(request.refs[:MAX_BATCH])]


def _path(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child


def write_context(request: AnyWrite, caller: Caller, scope: Scope, violations: Violations) -> WriteContext:
    """Who asks for the change, from where, and why. The actor is in the fingerprint: request_ids belong to callers."""
    assert caller.origin is not None
    check_text(request.reason, "reason", MAX_REASON_LENGTH, violations)
    request_id = canonical_request_id(request.request_id, "request_id", violations)
    return WriteContext(
        actor=caller.actor,
        origin=caller.origin,
        reason=request.reason,
        request_id=request_id,
        fingerprint=fingerprint(request, without=("request_id",), salt=caller.actor) if request_id else b"",
        validate_only=request.validate_only,
        scope=scope,
    )


def new_name(name: str, field: str, violations: Violations) -> str:
    """The name of a resource."""
    check_name(name, field, violations)
    return name


def comments(text: str, field: str, violations: Violations) -> str:
    """The comments of a resource."""
    check_text(text, field, MAX_COMMENTS_LENGTH, violations)
    return text


def name_prefix(prefix: str, field: str, violations: Violations) -> str:
    """The beginning of names."""
    check_name_prefix(prefix, field, violations)
    return prefix


def required_config(
    message: CreateConfigurationRequest | ConfigurationItem, field: str, violations: Violations
) -> JsonObject:
    """The content of a new configuration; field is the path of the message, empty for the request itself."""
    path = _path(field, "config")
    if not message.HasField("config"):
        violations.add(path, "is required; it may be empty: {}")
    return content_from(message.config, path, violations)


def schema_version_ref(message: SchemaVersionRefMessage, field: str, violations: Violations) -> SchemaVersionRef:
    """A version of a schema; version 0 where none is named."""
    check_name(message.schema, f"{field}.schema", violations)
    return SchemaVersionRef(
        schema=message.schema, version=non_negative(message.version, f"{field}.version", violations)
    )


def new_pin(
    message: CreateConfigurationRequest | ConfigurationItem, field: str, violations: Violations
) -> SchemaVersionRef | None:
    """The schema version that a new configuration is pinned to; field is the path of the message, empty for the request
    itself.
    """
    if not message.HasField("schema"):
        return None
    return schema_version_ref(message.schema, _path(field, "schema"), violations)


def non_negative(value: int, field: str, violations: Violations) -> int:
    """A revision or version, 0 where there is none."""
    if value < 0:
        violations.add(field, f"is {value}: must not be negative")
    return value


def page_size(value: int, violations: Violations) -> int:
    """How many resources a page may hold."""
    if not 0 <= value <= MAX_PAGE_SIZE:
        violations.add("page_size", f"is {value}: must be between 1 and {MAX_PAGE_SIZE}, or 0 for {DEFAULT_PAGE_SIZE}")
    return value or DEFAULT_PAGE_SIZE


def wants_config(view: ConfigurationView.ValueType, violations: Violations) -> bool:
    """Whether the view shows config."""
    if view not in ConfigurationView.values():
        violations.add("view", f"is {view}: not a ConfigurationView")
    return view != CONFIGURATION_VIEW_BASIC


def application_update(request: UpdateApplicationRequest, violations: Violations) -> ApplicationUpdate:
    """The new values that the request sets."""
    new = request.application
    populated = {path for path, is_set in (("name", new.name), ("comments", new.comments)) if is_set}
    paths = _update_paths(request.update_mask, "update_mask", ("name", "comments"), populated, violations)
    if not paths:
        violations.add("update_mask", "names nothing to change: set it, or fields of application that are not empty")
    return ApplicationUpdate(
        name=new_name(new.name, "application.name", violations) if "name" in paths else None,
        comments=comments(new.comments, "application.comments", violations) if "comments" in paths else None,
    )


def configuration_update(
    message: UpdateConfigurationRequest | ConfigurationChangeItem, field: str, violations: Violations
) -> ConfigurationUpdate:
    """The new values that the message sets; field is its path, empty for the request itself."""
    new, path = message.configuration, _path(field, "configuration")
    is_set = {
        "name": bool(new.name),
        "comments": bool(new.comments),
        "config": new.HasField("config"),
        "schema": new.HasField("schema"),
    }
    populated = {name for name in is_set if is_set[name]}
    mask, patch = _path(field, "update_mask"), _path(field, "merge_patch")
    paths = _update_paths(message.update_mask, mask, tuple(is_set), populated, violations)
    patched = message.HasField("merge_patch")
    if not paths and not patched:
        violations.add(mask, "names nothing to change: set it, merge_patch, or fields of configuration")
    if patched and "config" in paths:
        violations.add(patch, "cannot go together with a new config")
    if "config" in paths and not is_set["config"]:
        violations.add(f"{path}.config", "is required, because update_mask names it")
    return ConfigurationUpdate(
        name=new_name(new.name, f"{path}.name", violations) if "name" in paths else None,
        comments=comments(new.comments, f"{path}.comments", violations) if "comments" in paths else None,
        config=content_from(new.config, f"{path}.config", violations) if "config" in paths else None,
        merge_patch=content_from(message.merge_patch, patch, violations) if patched else None,
        schema=_changed_pin(new, f"{path}.schema", violations) if "schema" in paths else None,
    )


def _changed_pin(new: ConfigurationMessage, field: str, violations: Violations) -> SchemaVersionRef | Unpinned:
    return schema_version_ref(new.schema, field, violations) if new.HasField("schema") else Unpinned()


def _update_paths(
    mask: FieldMask, field: str, allowed: tuple[str, ...], populated: Collection[str], violations: Violations
) -> Collection[str]:
    for path in mask.paths:
        if path != "*" and path not in allowed:
            violations.add(field, f"names {path[:100]!r}: only {', '.join(allowed)} and * can be updated")
    if "*" in mask.paths:
        return allowed
    return mask.paths or populated


def configuration_filter(
    request: ListConfigurationsRequest, scope: Scope, violations: Violations
) -> ConfigurationFilter:
    """Which configurations to list."""
    application = None
    if request.HasField("application"):
        application = application_ref(request.application, "application", violations)
    check_text(request.json_path, "json_path", MAX_JSON_PATH_LENGTH, violations)
    has_contains = request.HasField("contains")
    is_pinned = request.HasField("schema")
    return ConfigurationFilter(
        scope=scope,
        application=application,
        name_prefix=name_prefix(request.name_prefix, "name_prefix", violations),
        contains=content_from(request.contains, "contains", violations) if has_contains else None,
        json_path=request.json_path or None,
        schema=schema_version_ref(request.schema, "schema", violations) if is_pinned else None,
    )
