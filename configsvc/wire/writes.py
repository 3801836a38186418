"""Writes of configurations, alone or many in one request.

Each function adds the faults it finds, under the path of its write.
"""

from typing import TypeAlias

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
from configapi.v1.source_service_pb2 import ApplySourceRequest
from configsvc.domain.content import JsonValue, encode_json
from configsvc.domain.errors import Violations
from configsvc.domain.models import (
    ConfigurationRef,
    ConfigurationUpdate,
    IdRef,
    MergePatch,
    OperationsPatch,
    Patch,
    SchemaVersionRef,
    Unpinned,
    WriteContext,
)
from configsvc.domain.stored_json import Content
from configsvc.domain.writes import BatchWrite, Creation, Deletion, Update, Upsert
from configsvc.wire import fields
from configsvc.wire.expectations import expectation
from configsvc.wire.fields import path_of
from configsvc.wire.json_fields import content, json_object, json_patch

AnyChange: TypeAlias = UpdateConfigurationRequest | ConfigurationChangeItem
AnyBatch: TypeAlias = BatchWriteConfigurationsRequest | ApplySourceRequest

MAX_WRITES = 1000


def required_config(
    message: CreateConfigurationRequest | ConfigurationItem, field: str, violations: Violations
) -> Content:
    """Return the content of a new configuration."""
    config = content(message, field, violations)
    if config is None:
        violations.add(path_of(field, "config"), "is required, or config_json; it may be empty: {}")
        return Content({})
    return config


def new_pin(
    message: CreateConfigurationRequest | ConfigurationItem, field: str, violations: Violations
) -> SchemaVersionRef | None:
    """Return the schema version that a new configuration is pinned to, if any."""
    if not message.HasField("schema"):
        return None
    return fields.schema_version_ref(message.schema, path_of(field, "schema"), violations)


def change(message: AnyChange, field: str, context: WriteContext, violations: Violations) -> Update:
    """Return an update, the only write of a call or one of a batch."""
    ref = fields.configuration_ref(message, field, violations)
    values = _values(message, field, violations)
    if message.allow_missing:
        _check_may_create(ref, values, field, violations)
    return Update(
        ref=ref,
        values=values,
        expected=expectation(message, message.configuration.etag, violations, field=field),
        allow_missing=message.allow_missing,
        context=context,
    )


def _check_may_create(ref: ConfigurationRef, values: ConfigurationUpdate, field: str, violations: Violations) -> None:
    """Add the faults that keep an update from creating its configuration."""
    if isinstance(ref, IdRef):
        violations.add(path_of(field, "id"), "cannot be combined with allow_missing: name the configuration by key")
    if values.name is not None:
        name = path_of(field, "configuration.name")
        violations.add(name, "cannot be combined with allow_missing: the key has the name; list fields without name")
    if values.patch is not None:
        violations.add(path_of(field, values.patch.field), "cannot be combined with allow_missing: set a content")


def _values(message: AnyChange, field: str, violations: Violations) -> ConfigurationUpdate:
    new, path = message.configuration, path_of(field, "configuration")
    paths = _changed_fields(message, field, violations)
    return ConfigurationUpdate(
        name=fields.configuration_name(new.name, f"{path}.name", violations) if "name" in paths else None,
        comments=fields.comments(new.comments, f"{path}.comments", violations) if "comments" in paths else None,
        config=content(new, path, violations) if "config" in paths else None,
        patch=_patch(message, field, violations),
        schema=_changed_pin(new, f"{path}.schema", violations) if "schema" in paths else None,
    )


def _patch(message: AnyChange, field: str, violations: Violations) -> Patch | None:
    kind = message.WhichOneof("patch")
    if kind is None:
        return None
    if kind in {"merge_patch", "merge_patch_json"}:
        return MergePatch(patch=json_object(message, "merge_patch", field, violations) or {}, field=kind)
    operations: list[JsonValue] = [*(json_patch(message, field, violations) or ())]
    return OperationsPatch(operations=encode_json(operations), field=kind)


def _changed_fields(message: AnyChange, field: str, violations: Violations) -> frozenset[str]:
    new, mask = message.configuration, path_of(field, "update_mask")
    is_set = {
        "name": bool(new.name),
        "comments": bool(new.comments),
        "config": new.HasField("config"),
        "config_json": new.HasField("config_json"),
        "schema": new.HasField("schema"),
    }
    populated = {name for name in is_set if is_set[name]}
    listed = fields.updated_paths(message.update_mask, mask, tuple(is_set), populated, violations)
    paths = frozenset("config" if path == "config_json" else path for path in listed)
    patch = message.WhichOneof("patch")
    if not paths and not patch:
        violations.add(mask, "lists nothing to change: set it, a patch, or fields of configuration")
    if patch and "config" in paths:
        violations.add(path_of(field, patch), "cannot be combined with a new content")
    if "config" in paths and not is_set["config"] and not is_set["config_json"]:
        violations.add(path_of(field, "configuration.config"), "is required, because update_mask lists it")
    return paths


def _changed_pin(new: ConfigurationMessage, field: str, violations: Violations) -> SchemaVersionRef | Unpinned:
    return fields.schema_version_ref(new.schema, field, violations) if new.HasField("schema") else Unpinned()


def check_number(request: AnyBatch, violations: Violations) -> None:
    """Check that there are neither too many writes nor, except of a source, none."""
    least = 0 if isinstance(request, ApplySourceRequest) else 1
    if not least <= len(request.writes) <= MAX_WRITES:
        violations.add("writes", f"has {len(request.writes)} items: must have between {least} and {MAX_WRITES}")


def batch_write(
    message: ConfigurationWriteMessage, field: str, context: WriteContext, violations: Violations
) -> BatchWrite | None:
    """Return one write of a batch."""
    match message.WhichOneof("write"):
        case "create":
            return _creation(message.create, f"{field}.create", context, violations)
        case "upsert":
            return _upsert(message.upsert, f"{field}.upsert", context, violations, only_missing=False)
        case "update":
            return change(message.update, f"{field}.update", context, violations)
        case "deletion":
            return _deletion(message.deletion, f"{field}.deletion", context, violations)
        case None:
            violations.add(field, "must set one of create, update, upsert or deletion")
            return None


def _creation(
    message: ConfigurationItem, field: str, context: WriteContext, violations: Violations
) -> Creation | Upsert:
    if message.HasField("expected_version"):
        # To be compared with the version of what has the name, if anything does.
        return _upsert(message, field, context, violations, only_missing=True)
    return Creation(
        application=fields.application_ref(message.application, f"{field}.application", violations),
        name=fields.configuration_name(message.name, f"{field}.name", violations),
        comments=fields.comments(message.comments, f"{field}.comments", violations),
        config=required_config(message, field, violations),
        schema=new_pin(message, field, violations),
        context=context,
    )


def _upsert(
    message: ConfigurationItem, field: str, context: WriteContext, violations: Violations, *, only_missing: bool
) -> Upsert:
    return Upsert(
        application=fields.application_ref(message.application, f"{field}.application", violations),
        name=fields.configuration_name(message.name, f"{field}.name", violations),
        comments=fields.comments(message.comments, f"{field}.comments", violations),
        config=required_config(message, field, violations),
        schema=new_pin(message, field, violations),
        expected=expectation(message, "", violations, field=field),
        only_missing=only_missing,
        context=context,
    )


def _deletion(
    message: ConfigurationDeletionItem, field: str, context: WriteContext, violations: Violations
) -> Deletion:
    return Deletion(
        ref=fields.configuration_ref(message, field, violations),
        expected=expectation(message, message.expected_etag, violations, field=field),
        allow_missing=message.allow_missing,
        context=context,
    )
