"""Fields that hold JSON, as a Struct or as text."""

from google.protobuf.message import Message

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    ConfigurationChangeItem,
    ConfigurationItem,
    CreateConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON, ContentFormat
from configapi.v1.schema_service_pb2 import MigrateConfigurationsRequest
from configsvc.domain.content import MAX_CONTENT_BYTES, JsonObject, encode_json
from configsvc.domain.errors import Violations
from configsvc.domain.json_patch import checked_json_patch
from configsvc.domain.json_text import content_from_text, list_from_text
from configsvc.domain.stored_json import Content
from configsvc.wire import fields
from configsvc.wire.content import content_from, fill_struct, list_from, stored_content

AnyPatched = UpdateConfigurationRequest | ConfigurationChangeItem | MigrateConfigurationsRequest

_FORMATS = frozenset(ContentFormat.values())


def json_object(
    message: Message,
    name: str,
    field: str,
    violations: Violations,
    *,
    limit_bytes: int = MAX_CONTENT_BYTES,
    wide_numbers: bool = False,
) -> JsonObject | None:
    """Return the object in the field `name`, a Struct, or in `name`_json, JSON text; None if neither is set.

    `wide_numbers`: JSON text may have whole numbers that a double cannot hold, as schema documents do.
    """
    if message.HasField(name):
        return content_from(getattr(message, name), fields.path_of(field, name), violations, limit_bytes=limit_bytes)
    as_text = f"{name}_json"
    if message.HasField(as_text):
        path = fields.path_of(field, as_text)
        return content_from_text(
            getattr(message, as_text), path, violations, limit_bytes=limit_bytes, wide_numbers=wide_numbers
        )
    return None


def content(
    message: CreateConfigurationRequest | ConfigurationItem | Configuration, field: str, violations: Violations
) -> Content | None:
    """Return the content in `config`, a Struct, or in `config_json`, JSON text; None if neither is set."""
    if message.HasField("config"):
        return stored_content(message.config, fields.path_of(field, "config"), violations)
    value = json_object(message, "config", field, violations)
    return None if value is None else Content(value)


def json_patch(message: AnyPatched, field: str, violations: Violations) -> list[JsonObject] | None:
    """Return the operations of the JSON Patch in `json_patch` or `json_patch_json`; None if neither is set."""
    found = Violations()
    if message.HasField("json_patch"):
        path = fields.path_of(field, "json_patch")
        items = list_from(message.json_patch, path, found)
    elif message.HasField("json_patch_json"):
        path = fields.path_of(field, "json_patch_json")
        items = list_from_text(message.json_patch_json, path, found)
    else:
        return None
    violations.extend(found)
    return None if found else checked_json_patch(items, path, violations)


def wants_json(content_format: ContentFormat.ValueType, violations: Violations) -> bool:
    """Return whether the response contains JSON text instead of a Struct."""
    if content_format not in _FORMATS:
        violations.add("format", fields.not_one_of(ContentFormat.keys(), content_format))
    return content_format == CONTENT_FORMAT_JSON


def set_json(message: Message, name: str, value: JsonObject, *, as_text: bool) -> None:
    """Set the field `name` to the object as a Struct or, as JSON text, `name`_json."""
    if as_text:
        setattr(message, f"{name}_json", encode_json(value))
    else:
        fill_struct(getattr(message, name), value)
