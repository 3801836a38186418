"""Where the subschemas of a JSON Schema are: its drafts, their keywords, and a walk over a document."""

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

# The first draft that knows the keyword; draft 4 knows those that are not here.
_SINCE = {
    "contains": 6,
    "propertyNames": 6,
    "if": 7,
    "then": 7,
    "else": 7,
    "$defs": 2019,
    "dependentSchemas": 2019,
    "unevaluatedItems": 2019,
    "unevaluatedProperties": 2019,
    "contentSchema": 2019,
    "prefixItems": 2020,
}
# The last draft that knows the keyword.
_UNTIL = {"additionalItems": 2019}

# What applies to the instance itself, what applies to its members, and what applies only when it is referred to.
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

_MAPS = frozenset({"$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subschema:
    """A schema within another: the keyword that holds it, its own JSON Pointer, and what it is."""

    keyword: str
    pointer: str
    schema: JsonValue


def draft_of(document: JsonObject) -> int | None:
    """4, 6, 7, 2019 or 2020; None if $schema names another dialect."""
    uri = document.get("$schema")
    if uri is None:
        return DEFAULT_DRAFT
    return DRAFT_URIS.get(uri.removesuffix("#")) if isinstance(uri, str) else None


def subschemas(
    schema: JsonObject, draft: int, pointer: str = "", keywords: tuple[str, ...] = IN_PLACE + MEMBERS + APART
) -> Iterator[Subschema]:
    """The schemas directly within a schema, under the given keywords, as far as they are well-formed."""
    for keyword in keywords:
        if keyword in schema and _SINCE.get(keyword, 4) <= draft <= _UNTIL.get(keyword, DEFAULT_DRAFT):
            yield from _held(keyword, schema[keyword], f"{pointer}/{escaped(keyword)}")


def _held(keyword: str, value: JsonValue, pointer: str) -> Iterator[Subschema]:
    if keyword in _MAPS:
        members = value.items() if isinstance(value, dict) else ()
    elif keyword in _LISTS or (keyword == "items" and isinstance(value, list)):
        members = enumerate(value) if isinstance(value, list) else ()
    else:
        if isinstance(value, dict | bool):
            yield Subschema(keyword=keyword, pointer=pointer, schema=value)
        return
    for key, schema in members:
        if isinstance(schema, dict | bool):
            yield Subschema(keyword=keyword, pointer=f"{pointer}/{escaped(str(key))}", schema=schema)


def walk(schema: JsonValue, draft: int, pointer: str = "") -> Iterator[tuple[str, JsonObject]]:
    """Every object schema from a schema on, itself first, with its JSON Pointer."""
    if isinstance(schema, dict):
        yield pointer, schema
        for subschema in subschemas(schema, draft, pointer):
            yield from walk(subschema.schema, draft, subschema.pointer)
