"""The messages of faults. They quote the schema, but of the value only its type."""

from collections.abc import Iterator

from configsvc.domain.content import JsonObject, JsonValue, encode_json
from configsvc.domain.jsonschema.faults import Fault
from configsvc.domain.jsonschema.patterns import unbounded

MAX_SHOWN = 64
MAX_OPTIONS = 10
PATTERN_LIMIT = (
    "is too long for its pattern, which is very large or needs backtracking: the time to match it is limited"
)

# The keywords without subschemas, with those that change their meaning.
LEAVES: dict[str, tuple[str, ...]] = {
    "type": (),
    "enum": (),
    "const": (),
    "required": (),
    "dependentRequired": (),
    "dependencies": (),
    "minimum": ("exclusiveMinimum",),
    "maximum": ("exclusiveMaximum",),
    "exclusiveMinimum": ("minimum",),
    "exclusiveMaximum": ("maximum",),
    "multipleOf": (),
    "minLength": (),
    "maxLength": (),
    "pattern": (),
    "format": (),
    "contentEncoding": (),
    "contentMediaType": ("contentEncoding",),
    "minItems": (),
    "maxItems": (),
    "uniqueItems": (),
    "minProperties": (),
    "maxProperties": (),
}

MESSAGES = {
    "minimum": "must be at least {0}",
    "maximum": "must be at most {0}",
    "exclusiveMinimum": "must be greater than {0}",
    "exclusiveMaximum": "must be less than {0}",
    "multipleOf": "must be a multiple of {0}",
    "minLength": "must have at least {0} characters",
    "maxLength": "must have at most {0} characters",
    "format": "must have the format {0}",
    "contentEncoding": "must be encoded as {0}",
    "contentMediaType": "must contain {0}",
    "minItems": "must have at least {0} items",
    "maxItems": "must have at most {0} items",
    "uniqueItems": "must not contain duplicate items",
    "minProperties": "must have at least {0} properties",
    "maxProperties": "must have at most {0} properties",
}
TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def describe(keyword: str, schema: JsonObject, value: JsonValue, pointer: str, *, limit: bool) -> Iterator[Fault]:
    """Yield the faults of a value that a keyword rejects; `limit`: its pattern reached the limit of work."""
    if keyword == "required":
        yield from _missing(schema[keyword], value, pointer, keyword, "")
    elif keyword in {"dependentRequired", "dependencies"}:
        wanted = schema[keyword]
        if isinstance(wanted, dict) and isinstance(value, dict):
            for name in wanted.keys() & value.keys():
                yield from _missing(wanted[name], value, pointer, keyword, f', which "{name}" requires')
    else:
        message = PATTERN_LIMIT if limit else _message(keyword, schema, value)
        yield Fault(pointer=pointer, keyword=keyword, message=message)


def shortened(text: str, limit: int) -> str:
    """Return the first `limit` characters of a text."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def _missing(names: JsonValue, value: JsonValue, pointer: str, keyword: str, why: str) -> Iterator[Fault]:
    if isinstance(names, list) and isinstance(value, dict):
        for name in map(str, names):
            if name not in value:
                yield Fault(pointer=pointer, keyword=keyword, message=f'lacks the property "{name}"{why}')


def _message(keyword: str, schema: JsonObject, value: JsonValue) -> str:
    wanted = schema[keyword]
    if keyword == "type":
        types = wanted if isinstance(wanted, list) else [wanted]
        return f"must be {' or '.join(map(str, types))}, but is {TYPES[type(value)]}"
    if keyword == "const":
        return f"must be {_shown(wanted)}"
    if keyword == "enum":
        options = wanted if isinstance(wanted, list) else []
        more = f", or one of {len(options) - MAX_OPTIONS} more" if len(options) > MAX_OPTIONS else ""
        return f"must be one of {', '.join(map(_shown, options[:MAX_OPTIONS]))}{more}"
    if keyword == "pattern":
        return f"does not match the pattern {_shown(unbounded(str(wanted)))}"
    return MESSAGES[keyword].format(_shown(wanted) if not isinstance(wanted, str) else wanted)


def _shown(value: JsonValue) -> str:
    return shortened(encode_json(value), MAX_SHOWN)
