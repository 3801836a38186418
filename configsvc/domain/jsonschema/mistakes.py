"""Descriptions of the mistakes in schema documents, in the words of their authors."""

from difflib import get_close_matches
from typing import Any

import jsonschema_rs

from configsvc.domain.content import JsonValue, encode_json
from configsvc.domain.jsonschema.keywords import MAPS
from configsvc.domain.jsonschema.messages import MAX_SHOWN, MESSAGES, TYPES, shortened

TYPE_NAMES = ("array", "boolean", "integer", "null", "number", "object", "string")
# Names in other languages, and those that are too short to be found by their likeness.
_MEANT = {
    "int": "integer", "long": "integer", "float": "number", "double": "number", "decimal": "number", "str": "string",
    "text": "string", "bool": "boolean", "list": "array", "tuple": "array", "dict": "object", "map": "object",
    "hash": "object", "none": "null", "nil": "null",
}  # fmt: skip
_SCHEMA = {"boolean", "object"}
_ANY_SCHEMA = "a schema (an object, true or false)"
_NAMES = "a schema or a list of property names"
_ALTERNATIVES = {
    "items": "a schema or a list of schemas",
    "additionalItems": _ANY_SCHEMA,
    "additionalProperties": _ANY_SCHEMA,
}
_HINTS: dict[tuple[str, type], str] = {
    ("required", bool): 'list the names of required properties in "required" of the object that has them',
    ("items", list): "from draft 2020-12 on, a list of schemas, one for each item, is called prefixItems",
    ("exclusiveMinimum", bool): "from draft 6 on, it is the bound itself",
    ("exclusiveMaximum", bool): "from draft 6 on, it is the bound itself",
}
_PATTERNS = {
    "$anchor": "must be a name: a letter or _, then letters, digits, -, _ and .",
    "$id": "must not have a fragment (#…): use $anchor to name a part of the document",
}
_PATTERNS["$dynamicAnchor"] = _PATTERNS["$anchor"]


def describe_mistake(error: jsonschema_rs.ValidationError) -> str:
    """Return the description of an error that a meta-schema found."""
    name = str(error.instance_path[-1]) if error.instance_path else ""
    value: Any = error.instance
    keyword, wanted = error.kind.name, error.kind.value
    parent = str(error.instance_path[-2]) if len(error.instance_path) > 1 else ""
    if keyword in {"anyOf", "enum"} and (parent == "type" or (name == "type" and parent not in MAPS)):
        return _type_mistake(value)
    if keyword == "anyOf" and (name in _ALTERNATIVES or parent == "dependencies"):
        return f"must be {_ALTERNATIVES.get(name, _NAMES)}, but is {_shown(value)}"
    if keyword == "type":
        return _wrong_type(name, set(wanted), value)
    if keyword == "pattern" and name in _PATTERNS:
        return f"{_PATTERNS[name]}, but is {_shown(value)}"
    return MESSAGES[keyword].format(wanted) if keyword in MESSAGES else error.message


def _type_mistake(value: JsonValue) -> str:
    names = f"must be one of {', '.join(TYPE_NAMES)}, or a list of these"
    if not isinstance(value, str):
        return f"{names}, but is {_shown(value)}"
    if value == "any":
        return f'{names}, but is "any": leave "type" out to accept any value'
    lower = value[:MAX_SHOWN].lower()
    close = [_MEANT[lower]] if lower in _MEANT else get_close_matches(lower, TYPE_NAMES, n=1)
    return f"{names}, but is {_shown(value)}" + (f'; did you mean "{close[0]}"?' if close else "")


def _wrong_type(name: str, wanted: set[str], value: JsonValue) -> str:
    types = " or ".join(map(_with_article, sorted(wanted)))
    expected = _ANY_SCHEMA if wanted == _SCHEMA else types
    text = f"must be {expected}, but is {_shown(value)}"
    hint = _HINTS.get((name, type(value)))
    if hint is None and wanted == _SCHEMA and isinstance(value, str) and value in TYPE_NAMES:
        hint = f'write {{"type": "{value}"}}'
    return f"{text}; {hint}" if hint else text


def _with_article(name: str) -> str:
    return f"an {name}" if name[0] in "aio" else f"a {name}"


def _shown(value: JsonValue) -> str:
    """Return a short value as JSON, and of a long one only its type."""
    if isinstance(value, dict | list):
        return _with_article(TYPES[type(value)])
    return shortened(encode_json(value), MAX_SHOWN)
