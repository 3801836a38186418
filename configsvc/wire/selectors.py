"""Selectors of configurations: the parser adds the faults that it finds to `violations`."""

from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.errors import Violations
from configsvc.domain.json_path import JsonPathError, canonical_json_path
from configsvc.domain.models import ConfigurationFilter
from configsvc.domain.names import check_configuration_name, check_name_prefix, check_text
from configsvc.domain.scope import Scope
from configsvc.wire.fields import application_ref, path_of, schema_version_ref
from configsvc.wire.json_fields import json_object

MAX_NAMES = 1000
MAX_JSON_PATH_LENGTH = 1024


def configuration_filter(
    message: ConfigurationSelector, field: str, scope: Scope, violations: Violations
) -> ConfigurationFilter:
    """Return the filter that the selector means, within the scope."""
    application = schema = None
    if message.HasField("application"):
        application = application_ref(message.application, path_of(field, "application"), violations)
    if message.HasField("schema"):
        schema = schema_version_ref(message.schema, path_of(field, "schema"), violations)
    check_name_prefix(message.name_prefix, path_of(field, "name_prefix"), violations)
    return ConfigurationFilter(
        scope=scope,
        application=application,
        name_prefix=message.name_prefix,
        names=_names(message, path_of(field, "names"), violations),
        contains=json_object(message, "contains", field, violations),
        json_path=_json_path(message.json_path, path_of(field, "json_path"), violations),
        schema=schema,
    )


def _names(message: ConfigurationSelector, field: str, violations: Violations) -> tuple[str, ...]:
    if len(message.names) > MAX_NAMES:
        violations.add(field, f"has {len(message.names)} items: at most {MAX_NAMES} are allowed")
    for index, name in enumerate(message.names[:MAX_NAMES]):
        check_configuration_name(name, f"{field}[{index}]", violations)
    return tuple(dict.fromkeys(message.names))


def _json_path(text: str, field: str, violations: Violations) -> str | None:
    if not text:
        return None
    if len(text) > MAX_JSON_PATH_LENGTH:
        check_text(text, field, MAX_JSON_PATH_LENGTH, violations)
        return None
    try:
        return canonical_json_path(text)
    except JsonPathError as error:
        violations.add(field, str(error))
        return None
