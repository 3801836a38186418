"""Implications between the keywords of two schemas, for keywords without subschemas."""

from collections.abc import Callable

from configsvc.domain.content import JsonObject, JsonValue, same_json

_ALL = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_NUMBERS = frozenset({"integer", "number"})
_STRINGS = frozenset({"string"})
_ARRAYS = frozenset({"array"})
_OBJECTS = frozenset({"object"})

# The types of values that a keyword constrains.
FAMILIES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBERS),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "contentEncoding", "contentMediaType"), _STRINGS),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems", "contains"), _ARRAYS),
    **dict.fromkeys(("minProperties", "maxProperties", "required", "dependentRequired"), _OBJECTS),
    **dict.fromkeys(("dependencies", "dependentSchemas"), _OBJECTS),
}
_TYPE_NAMES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def types_of(schema: JsonObject) -> frozenset[str]:
    """Return the types that a schema allows."""
    names = schema.get("type")
    types = _ALL
    if isinstance(names, str):
        types = frozenset({names})
    elif isinstance(names, list):
        types = frozenset(str(name) for name in names)
    options = _options(schema)
    if options is not None:
        types &= _widened(frozenset(_TYPE_NAMES[type(option)] for option in options))
    return types


def _widened(types: frozenset[str]) -> frozenset[str]:
    """Return the types with integer and number together: 1.0 is an integer, and 1 a number."""
    return types | _NUMBERS if types & _NUMBERS else types


def _options(schema: JsonObject) -> list[JsonValue] | None:
    if "const" in schema:
        return [schema["const"]]
    options = schema.get("enum")
    return options if isinstance(options, list) else None


def implied(keyword: str, old: JsonObject, new: JsonObject, draft: int) -> bool:
    """Return whether the old schema implies a keyword of the new one. Without a rule, both must be equal."""
    return _RULES.get(keyword, _equal)(keyword, old, new, draft)


def _equal(keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    return keyword in old and same_json(old[keyword], new[keyword])


def _equally_encoded(keyword: str, old: JsonObject, new: JsonObject, draft: int) -> bool:
    encoding = "contentEncoding"
    return _equal(keyword, old, new, draft) and old.get(encoding) == new.get(encoding)


def _type(_keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    allowed = types_of({"type": new["type"]})
    options = _options(old)
    if options is not None and all(_TYPE_NAMES[type(option)] in allowed for option in options):
        return not any(isinstance(option, float) for option in options) or "number" in allowed
    possible = types_of({"type": old["type"]}) if "type" in old else _ALL
    return possible <= (allowed | {"integer"} if "number" in allowed else allowed)


def _choice(keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    options = _options(old)
    allowed = [new["const"]] if keyword == "const" else new["enum"]
    if options is None or not isinstance(allowed, list):
        return False
    return all(any(same_json(option, other) for other in allowed) for option in options)


def _bound(keyword: str, old: JsonObject, new: JsonObject, draft: int) -> bool:
    """Return whether the old schema has a bound that is at least as strict."""
    end = "Minimum" if keyword.endswith("inimum") else "Maximum"
    if draft == 4 and keyword.startswith("exclusive"):
        return new[keyword] is False or _bound(end.lower(), old, new, draft)
    exclusive = keyword.startswith("exclusive")
    wanted = [bound for bound in _bounds(end, new, draft) if draft == 4 or bound[1] == exclusive]
    sign = 1 if end == "Minimum" else -1
    return all(
        any(
            sign * value > sign * limit or (value == limit and (excluded or not excluding))
            for value, excluded in _bounds(end, old, draft)
        )
        for limit, excluding in wanted
    )


def _bounds(end: str, schema: JsonObject, draft: int) -> list[tuple[int | float, bool]]:
    plain, exclusive = schema.get(end.lower()), schema.get(f"exclusive{end}")
    found: list[tuple[int | float, bool]] = []
    if isinstance(plain, int | float):
        found.append((plain, draft == 4 and exclusive is True))
    if draft > 4 and isinstance(exclusive, int | float):
        found.append((exclusive, True))
    return found


def _least(keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    known, wanted = old.get(keyword, 0), new[keyword]
    return isinstance(known, int | float) and isinstance(wanted, int | float) and known >= wanted


def _most(keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    known, wanted = old.get(keyword), new[keyword]
    return isinstance(known, int | float) and isinstance(wanted, int | float) and known <= wanted


def _multiple(keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    known, wanted = old.get(keyword), new[keyword]
    if _equal(keyword, old, new, _draft):
        return True
    return isinstance(known, int) and isinstance(wanted, int) and known % wanted == 0


def _required(keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    known, wanted = old.get(keyword, []), new[keyword]
    return isinstance(known, list) and isinstance(wanted, list) and all(name in known for name in wanted)


def _dependent(keyword: str, old: JsonObject, new: JsonObject, _draft: int) -> bool:
    known, wanted = old.get(keyword, {}), new[keyword]
    if not isinstance(known, dict) or not isinstance(wanted, dict):
        return False
    return all(_required(name, known, wanted, 0) for name in wanted)


def _unique(keyword: str, old: JsonObject, new: JsonObject, draft: int) -> bool:
    return new[keyword] is False or _equal(keyword, old, new, draft)


_RULES: dict[str, Callable[[str, JsonObject, JsonObject, int], bool]] = {
    "type": _type,
    "enum": _choice,
    "const": _choice,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _bound),
    **dict.fromkeys(("minLength", "minItems", "minProperties"), _least),
    **dict.fromkeys(("maxLength", "maxItems", "maxProperties"), _most),
    "multipleOf": _multiple,
    "contentMediaType": _equally_encoded,
    "required": _required,
    "dependentRequired": _dependent,
    "uniqueItems": _unique,
}
