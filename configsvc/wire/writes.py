"""Writes of configurations, alone or many in one request.

Each function adds the faults it finds, under the path of its write.
"""

from configapi.v1.configuration_pb2 import Configuration as ConfigurationMessage
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    ConfigurationItem,
    CreateConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.configuration_service_pb2 import ConfigurationWrite as ConfigurationWriteMessage
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import Violations
from configsvc.domain.models import ConfigurationUpdate, KeyRef, SchemaVersionRef, Unpinned, WriteContext
from configsvc.domain.writes import BatchWrite, Deletion, Update, Upsert
from configsvc.wire import fields
from configsvc.wire.content import content_from
from configsvc.wire.fields import path_of

MAX_WRITES = 1000


def required_config(
    message: CreateConfigurationRequest | ConfigurationItem, field: str, violations: Violations
) -> JsonObject:
    """Return the content of a new configuration."""
    path = path_of(field, "config")
    if not message.HasField("config"):
        violations.add(path, "is required; it may be empty: {}")
    return content_from(message.config, path, violations)


def new_pin(
    message: CreateConfigurationRequest | ConfigurationItem, field: str, violations: Violations
) -> SchemaVersionRef | None:
    """Return the schema version that a new configuration is pinned to, if any."""
    if not message.HasField("schema"):
        return None
    return fields.schema_version_ref(message.schema, path_of(field, "schema"), violations)


def configuration_update(
    message: UpdateConfigurationRequest | ConfigurationChangeItem, field: str, violations: Violations
) -> ConfigurationUpdate:
    """Return the new values that the message sets."""
    new, path = message.configuration, path_of(field, "configuration")
    paths = _changed_fields(message, field, violations)
    patched = message.HasField("merge_patch")
    merge_patch = path_of(field, "merge_patch")
    return ConfigurationUpdate(
        name=fields.configuration_name(new.name, f"{path}.name", violations) if "name" in paths else None,
        comments=fields.comments(new.comments, f"{path}.comments", violations) if "comments" in paths else None,
        config=content_from(new.config, f"{path}.config", violations) if "config" in paths else None,
        merge_patch=content_from(message.merge_patch, merge_patch, violations) if patched else None,
        schema=_changed_pin(new, f"{path}.schema", violations) if "schema" in paths else None,
    )


def _changed_fields(
    message: UpdateConfigurationRequest | ConfigurationChangeItem, field: str, violations: Violations
) -> frozenset[str]:
    new, mask = message.configuration, path_of(field, "update_mask")
    is_set = {
        "name": bool(new.name),
        "comments": bool(new.comments),
        "config": new.HasField("config"),
        "schema": new.HasField("schema"),
    }
    populated = {name for name in is_set if is_set[name]}
    paths = frozenset(fields.updated_paths(message.update_mask, mask, tuple(is_set), populated, violations))
    patched = message.HasField("merge_patch")
    if not paths and not patched:
        violations.add(mask, "lists nothing to change: set it, merge_patch, or fields of configuration")
    if patched and "config" in paths:
        violations.add(path_of(field, "merge_patch"), "cannot be combined with a new config")
    if "config" in paths and not is_set["config"]:
        violations.add(path_of(field, "configuration.config"), "is required, because update_mask lists it")
    return paths


def _changed_pin(new: ConfigurationMessage, field: str, violations: Violations) -> SchemaVersionRef | Unpinned:
    return fields.schema_version_ref(new.schema, field, violations) if new.HasField("schema") else Unpinned()


def check_number(request: BatchWriteConfigurationsRequest, violations: Violations) -> None:
    """Check that there are neither too many writes nor none."""
    if not 1 <= len(request.writes) <= MAX_WRITES:
        violations.add("writes", f"has {len(request.writes)} items: must have between 1 and {MAX_WRITES}")


def batch_write(
    message: ConfigurationWriteMessage, field: str, context: WriteContext, violations: Violations
) -> BatchWrite | None:
    """Return one write of a batch."""
    match message.WhichOneof("write"):
        case "create":
            return _item(message.create, f"{field}.create", context, violations).as_creation()
        case "upsert":
            return _item(message.upsert, f"{field}.upsert", context, violations)
        case "update":
            return _update(message.update, f"{field}.update", context, violations)
        case "deletion":
            return _deletion(message.deletion, f"{field}.deletion", context, violations)
        case None:
            violations.add(field, "must set one of create, update, upsert or delete")
            return None


def _item(message: ConfigurationItem, field: str, context: WriteContext, violations: Violations) -> Upsert:
    application = fields.new_name(message.application.name, f"{field}.application", violations)
    name = fields.configuration_name(message.name, f"{field}.name", violations)
    return Upsert(
        key=KeyRef(application=application, name=name),
        comments=fields.comments(message.comments, f"{field}.comments", violations),
        config=required_config(message, field, violations),
        schema=new_pin(message, field, violations),
        context=context,
    )


def _update(message: ConfigurationChangeItem, field: str, context: WriteContext, violations: Violations) -> Update:
    version = message.expected_version
    return Update(
        ref=fields.configuration_ref(message, field, violations),
        values=configuration_update(message, field, violations),
        expected_version=fields.non_negative(version, f"{field}.expected_version", violations),
        context=context,
    )


def _deletion(
    message: ConfigurationDeletionItem, field: str, context: WriteContext, violations: Violations
) -> Deletion:
    version = message.expected_version
    return Deletion(
        ref=fields.configuration_ref(message, field, violations),
        expected_version=fields.non_negative(version, f"{field}.expected_version", violations),
        context=context,
    )
