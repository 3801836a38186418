"""The drafts of JSON Schema, their keywords, and the subschemas of a schema."""

from collections.abc import Iterator
from dataclasses import dataclass

from configsvc.domain.content import JsonObject, JsonValue, escaped

DRAFT_URIS = {
    "http://json-schema.org/draft-04/schema": 4,
    "http://json-schema.org/draft-06/schema": 6,
    "http://json-schema.org/draft-07/schema": 7,
    "https://json-schema.org/draft/2019-09/schema": 2019,
    "https://json-schema.org/draft/2020-12/schema": 2020,
}
DEFAULT_DRAFT = 2020

# The first draft with the keyword; all others are in draft 4.
_SINCE = {
    "const": 6,
    "contains": 6,
    "propertyNames": 6,
    "if": 7,
    "then": 7,
    "else": 7,
    "$defs": 2019,
    "$anchor": 2019,
    "$recursiveAnchor": 2019,
    "$recursiveRef": 2019,
    "dependentSchemas": 2019,
    "unevaluatedItems": 2019,
    "unevaluatedProperties": 2019,
    "contentSchema": 2019,
    "dependentRequired": 2019,
    "minContains": 2019,
    "maxContains": 2019,
    "prefixItems": 2020,
    "$dynamicAnchor": 2020,
    "$dynamicRef": 2020,
}
# The last draft with the keyword.
_UNTIL = {"additionalItems": 2019, "$recursiveRef": 2019, "$recursiveAnchor": 2019}

# Subschemas that apply to the value itself, to its members, and only by reference.
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
MEMBERS = (
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
)
APART = ("$defs", "definitions", "contentSchema")

# Keywords that do not constrain values.
ANNOTATIONS = frozenset(
    {
        "$anchor", "$comment", "$defs", "$dynamicAnchor", "$id", "$recursiveAnchor", "$schema", "$vocabulary",
        "contentSchema", "default", "definitions", "deprecated", "description", "examples", "id", "readOnly", "title",
        "writeOnly",
    }
)  # fmt: skip

MAPS = frozenset({"$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subschema:
    """A schema within another: its keyword, its key or index there, its JSON Pointer, and itself."""

    keyword: str
    key: str
    pointer: str
    schema: JsonValue


def draft_of(document: JsonObject) -> int | None:
    """Return 4, 6, 7, 2019 or 2020, or None if $schema is another dialect."""
    uri = document.get("$schema")
    if uri is None:
        return DEFAULT_DRAFT
    return DRAFT_URIS.get(uri.removesuffix("#")) if isinstance(uri, str) else None


def knows(keyword: str, draft: int) -> bool:
    """Return whether a draft has a keyword; True for a keyword that no draft has."""
    return _SINCE.get(keyword, 4) <= draft <= _UNTIL.get(keyword, DEFAULT_DRAFT)


def draft_uri(draft: int) -> str:
    """Return the $schema of a draft."""
    return next(uri for uri, number in DRAFT_URIS.items() if number == draft)


def subschemas(
    schema: JsonObject, draft: int, pointer: str = "", keywords: tuple[str, ...] = IN_PLACE + MEMBERS + APART
) -> Iterator[Subschema]:
    """Yield the well-formed schemas directly within a schema, under the given keywords."""
    for keyword in keywords:
        if keyword in schema and knows(keyword, draft):
            yield from _under(keyword, schema[keyword], f"{pointer}/{escaped(keyword)}")


def _under(keyword: str, value: JsonValue, pointer: str) -> Iterator[Subschema]:
    if keyword in MAPS:
        members = value.items() if isinstance(value, dict) else ()
    elif keyword in _LISTS or (keyword == "items" and isinstance(value, list)):
        members = enumerate(value) if isinstance(value, list) else ()
    else:
        if isinstance(value, dict | bool):
            yield Subschema(keyword=keyword, key="", pointer=pointer, schema=value)
        return
    for key, schema in members:
        if isinstance(schema, dict | bool):
            yield Subschema(keyword=keyword, key=str(key), pointer=f"{pointer}/{escaped(str(key))}", schema=schema)
