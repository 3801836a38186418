"""Estimates of validation work before it begins, for the worst schemas known for jsonschema-rs."""

from typing import Any

import pytest

from configsvc.domain.content import JsonObject, JsonValue, encode_json
from configsvc.validation.checks import prepare_check
from configsvc.validation.compiled import compile_schema
from configsvc.validation.limits import STEPS_AT_ONCE


def each(schema: JsonValue) -> JsonObject:
    return {"properties": {"a": {"items": schema}}}


def several(schema: JsonObject, count: int) -> list[JsonValue]:
    return [{**schema, "$comment": str(number)} for number in range(count)]


NUMBERS: list[JsonValue] = list(range(100_000, 104_000))
OBJECTS: list[JsonValue] = [{"x": number} for number in range(2000)]
ALTERNATIVES: list[JsonValue] = [{"properties": {"x": {"const": number}}} for number in range(1000)]
CONTAINING: list[JsonValue] = [{"contains": {"const": number}} for number in range(1000)]
NAMES = [f"k{number}" for number in range(3000)]
DEPENDENT: dict[str, JsonValue] = {name: ["x"] for name in NAMES}
SCHEMAS: dict[str, JsonValue] = dict.fromkeys(NAMES, True)
LARGE: JsonObject = {str(number): number for number in range(20_000)}
HOSTILE: dict[str, tuple[Any, Any]] = {
    "many alternatives": (each({"not": {"anyOf": several({"type": "string"}, 3000)}}), {"a": [1] * 1000}),
    "a long enum": (each({"not": {"enum": ["x", *NUMBERS]}}), {"a": list(range(4000))}),
    "an enum of objects": (each({"not": {"enum": OBJECTS}}), {"a": [{"x": -1}] * 2000}),
    "a large const": ({"allOf": several({"not": {"const": {**LARGE, "0": 1}}}, 4)}, LARGE),
    "a pattern that looks around": (each({"allOf": several({"pattern": "(?!z).*b"}, 50)}), {"a": ["a" * 600] * 400}),
    "a pattern of many states": ({"properties": {"a": {"pattern": "[ab]*a[ab]{100}c"}}}, {"a": "ab" * 100_000}),
    "many patterns for names": (
        {"patternProperties": {f"^a{number}b?$": True for number in range(1000)}},
        {f"x{number}": 1 for number in range(20_000)},
    ),
    "names under many schemas": ({"propertyNames": {"allOf": several({"maxLength": 9}, 1000)}}, LARGE),
    "a format of a long text, many times": (
        {"properties": {"a": {"allOf": several({"format": "uri"}, 500)}}},
        {"a": "http://a/" + "a" * 240_000},
    ),
    "many dependent names": (
        each({"dependentRequired": DEPENDENT}),
        {"a": [{}] * 80_000},
    ),
    "many dependent schemas": (each({"dependentSchemas": SCHEMAS}), {"a": [{}] * 80_000}),
    "unevaluated properties": (
        each({"anyOf": ALTERNATIVES, "unevaluatedProperties": False}),
        {"a": [{"x": 999}] * 3000},
    ),
    "unevaluated items": (
        {"properties": {"a": {"anyOf": CONTAINING, "unevaluatedItems": False}}},
        {"a": [number % 1000 for number in range(40_000)]},
    ),
    "recursion that doubles": (
        {"$ref": "#/$defs/0", "$defs": {
            **{str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}, {"$ref": f"#/$defs/{i + 1}"}]} for i in range(13)},
            "13": {"properties": {"a": {"$ref": "#/$defs/0"}}},
        }},
        {"a": {}},
    ),
    "references that double": (
        {"$ref": "#/$defs/0", "$defs": {
            **{str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}, {"$ref": f"#/$defs/{i + 1}"}]} for i in range(40)},
            "40": {},
        }},
        {"a": {}},
    ),
    "recursion": (
        {"$dynamicAnchor": "n", "items": {"anyOf": several({"$dynamicRef": "#n"}, 100)}, "properties": {"a": {"$ref": "#"}}},  # noqa: E501
        {"a": [[[1] * 100] * 10] * 100},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "config"), HOSTILE.values(), ids=HOSTILE)
def test_what_may_take_long_is_known_before(document: JsonObject, config: JsonObject) -> None:
    work = compile_schema(document, {}, 0).validator.work
    assert work.quick_bound(encode_json(config)) >= work.bound(config) > STEPS_AT_ONCE


@pytest.mark.parametrize(
    ("document", "config"),
    [
        (each({"type": "integer"}), {"a": [1] * 100_000}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": list(range(43_000))}),
        ({"additionalProperties": {"maxLength": 5, "pattern": "^[0-9]+$"}}, {str(n): str(n) for n in range(10_000)}),
    ],
)
def test_a_large_configuration_of_a_simple_schema_takes_no_time(document: JsonObject, config: JsonObject) -> None:
    assert not prepare_check("web", compile_schema(document, {}, 0), config, encode_json(config)).may_take_long
