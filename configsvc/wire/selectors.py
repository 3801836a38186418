"""Selectors of configurations: the parser adds the faults that it finds to `violations`."""

from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.errors import Violations
from configsvc.domain.json_path import JsonPathError, canonical_json_path
from configsvc.domain.models import ApplicationRef, ConfigurationFilter
from configsvc.domain.names import check_configuration_name, check_name_prefix, check_text
from configsvc.domain.scope import Scope
from configsvc.domain.selection import Selector
from configsvc.wire.fields import application_ref, path_of, schema_version_ref
from configsvc.wire.json_fields import json_object

MAX_SELECTOR_NAMES = 1000
MAX_JSON_PATH_LENGTH = 1024

_PARTS_OF_NAMES = frozenset({"application", "name_prefix", "names"})


def name_selector(message: ConfigurationSelector, field: str, user: str, violations: Violations) -> Selector:
    """Return a selector by names alone; add a fault for each other part. `user`: the end of "is not supported in"."""
    for part, _ in message.ListFields():
        if part.name not in _PARTS_OF_NAMES:
            description = f"is not supported in {user}: select by application, name_prefix and names"
            violations.add(path_of(field, part.name), description)
    return Selector(
        application=_application(message, path_of(field, "application"), violations),
        name_prefix=_name_prefix(message, path_of(field, "name_prefix"), violations),
        names=frozenset(_names(message, path_of(field, "names"), violations)),
    )


def configuration_filter(message: ConfigurationSelector, scope: Scope, violations: Violations) -> ConfigurationFilter:
    """Return the filter that the `selector` of a request means, within the scope."""
    schema = None
    if message.HasField("schema"):
        schema = schema_version_ref(message.schema, "selector.schema", violations)
    return ConfigurationFilter(
        scope=scope,
        application=_application(message, "selector.application", violations),
        name_prefix=_name_prefix(message, "selector.name_prefix", violations),
        names=_names(message, "selector.names", violations),
        contains=json_object(message, "contains", "selector", violations),
        json_path=_json_path(message.json_path, "selector.json_path", violations),
        schema=schema,
    )


def _application(message: ConfigurationSelector, field: str, violations: Violations) -> ApplicationRef | None:
    return application_ref(message.application, field, violations) if message.HasField("application") else None


def _name_prefix(message: ConfigurationSelector, field: str, violations: Violations) -> str:
    check_name_prefix(message.name_prefix, field, violations)
    return message.name_prefix


def _names(message: ConfigurationSelector, field: str, violations: Violations) -> tuple[str, ...]:
    if len(message.names) > MAX_SELECTOR_NAMES:
        violations.add(field, f"has {len(message.names)} items: at most {MAX_SELECTOR_NAMES} are allowed")
    for index, name in enumerate(message.names[:MAX_SELECTOR_NAMES]):
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
