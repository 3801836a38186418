"""Configurations validated against schemas: every fault, in words that repeat nothing of the configuration."""

import json
import subprocess
import sys

import pytest
from hypothesis import given

from configsvc.domain.content import JsonObject, JsonValue
from configsvc.domain.jsonschema.faults import MAX_FAULTS
from configsvc.domain.jsonschema.linked import UnusableSchemaError
from configsvc.domain.jsonschema.validator import Validator
from configsvc.domain.models import SchemaVersionRef
from tests.domain.jsonschema.schemas import documents, drafts, objects, unhurried

SECRET = "correct-horse-battery-staple"


def told(document: JsonObject, config: JsonObject) -> list[tuple[str, str, str]]:
    return [(fault.pointer, fault.keyword, fault.message) for fault in Validator(document, {}).faults(config)]


def test_every_fault_is_reported_with_pointer_keyword_and_what_is_wanted() -> None:
    document: JsonObject = {
        "properties": {
            "port": {"type": "integer", "maximum": 65535},
            "mode": {"enum": ["fast", "safe"]},
            "hosts": {"items": {"type": "string", "format": "hostname"}, "minItems": 3},
            "a/b": {"const": 1},
        },
        "required": ["port", "name"],
        "additionalProperties": False,
    }
    config: JsonObject = {"port": 70000, "mode": SECRET, "hosts": ["a", 1, "-"], "a/b": SECRET, "typo": SECRET}
    assert told(document, config) == [
        ("", "required", 'lacks the property "name"'),
        ("/port", "maximum", "must be at most 65535"),
        ("/mode", "enum", 'must be one of "fast", "safe"'),
        ("/hosts/1", "type", "must be string, but is integer"),
        ("/hosts/2", "format", "must have the format hostname"),
        ("/a~1b", "const", "must be 1"),
        ("", "additionalProperties", 'has the property "typo", which is not declared'),
    ]


def test_the_alternative_that_was_meant_is_explained() -> None:
    kinds: list[JsonValue] = [
        {"properties": {"kind": {"const": kind}, "size": {"type": "integer"}}, "required": ["size"]} for kind in "ab"
    ]
    assert told({"oneOf": kinds}, {"kind": "b", "size": SECRET}) == [
        ("/size", "type", "must be integer, but is string")
    ]
    assert told({"properties": {"x": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, {"x": 1}) == [
        (
            "/x",
            "anyOf",
            "satisfies none of the 2 alternatives of anyOf: must be string, but is integer; or must be null, but is integer",  # noqa: E501
        )
    ]
    assert told({"oneOf": [{}, {}]}, {}) == [
        ("", "oneOf", "satisfies 2 alternatives of oneOf: exactly one is required")
    ]


@pytest.mark.parametrize(
    ("document", "config", "faults"),
    [
        ({"not": {"required": ["a"]}}, {"a": SECRET}, [("", "not")]),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, [("", "required")]),
        ({"if": {"required": ["a"]}, "else": {"required": ["b"]}}, {}, [("", "required")]),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, [("", "dependentRequired")]),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}, [("", "required")]),
        ({"propertyNames": {"maxLength": 1}}, {"abc": 1}, [("", "propertyNames")]),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"abc": 1}, [("/abc", "type")]),
        ({"properties": {"a": {"contains": {"const": 1}}}}, {"a": [2]}, [("/a", "contains")]),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 1]}, [("/a", "uniqueItems")]),
        ({"properties": {"a": {"prefixItems": [True], "items": False}}}, {"a": [1, 2]}, [("/a/1", "false")]),
        ({"properties": {"a": {"prefixItems": [True], "unevaluatedItems": False}}}, {"a": [1, 2]}, [("/a", "unevaluatedItems")]),  # noqa: E501
        ({"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}, {"a": 1, "b": 2}, [("", "unevaluatedProperties")]),  # noqa: E501
        ({"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}}, {"a": 1}, [("/a", "minimum"), ("/a", "exclusiveMinimum")]),  # noqa: E501
    ],
)  # fmt: skip
def test_each_keyword_is_explained(document: JsonObject, config: JsonObject, faults: list[tuple[str, str]]) -> None:
    found = told(document, config)
    assert {(pointer, keyword) for pointer, keyword, _ in found} <= set(faults)
    assert found
    assert SECRET not in str(found)


@given(drafts.flatmap(documents), objects)
@unhurried
def test_a_refusal_is_always_explained_and_never_with_a_value(document: JsonObject, config: JsonObject) -> None:
    secret: JsonObject = {"a": SECRET, "c": [SECRET], **config}
    faults = Validator(document, {}).faults(secret)
    assert all(SECRET not in fault.message and SECRET not in fault.pointer for fault in faults)
    assert all(fault.message for fault in faults)


def test_at_most_a_hundred_faults_are_reported() -> None:
    assert len(told({"additionalProperties": {"type": "string"}}, {str(i): i for i in range(1000)})) == MAX_FAULTS


def test_stored_versions_are_referred_to_by_pointer_and_anchor_and_refer_on() -> None:
    referenced: dict[SchemaVersionRef, JsonObject] = {
        SchemaVersionRef(schema="net.port", version=2): {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://example.com/port",
            "$ref": "configsvc://schemas/limits@1#/$defs/port",
        },
        SchemaVersionRef(schema="limits", version=1): {
            "$id": "https://example.com/port",
            "$defs": {"port": {"$ref": "#small"}, "small": {"$anchor": "small", "maximum": 65535}},
        },
    }
    document: JsonObject = {
        "properties": {
            "a": {"$ref": "configsvc://schemas/net.port@2"},
            "b": {"$ref": "configsvc://schemas/limits@1#small"},
        }
    }
    found = Validator(document, referenced).faults({"a": 70000, "b": 70000})
    assert [(fault.pointer, fault.keyword) for fault in found] == [("/a", "maximum"), ("/b", "maximum")]


@pytest.mark.parametrize(
    ("document", "referenced", "message"),
    [
        ({"$ref": "configsvc://schemas/a@1"}, {}, "/$ref: refers to configsvc://schemas/a@1, which does not exist"),
        (
            {"$ref": "configsvc://schemas/a@1"},
            {SchemaVersionRef(schema="a", version=1): {"$ref": "configsvc://schemas/b@1"}},
            "/$ref: refers to configsvc://schemas/b@1, which does not exist in configsvc://schemas/a@1",
        ),
        (
            {"$ref": "configsvc://schemas/a@1#/$defs/x"},
            {SchemaVersionRef(schema="a", version=1): {}},
            '/$ref: has no target: there is no "$defs" in the document',
        ),
    ],
)
def test_a_stored_version_that_is_missing_is_named(
    document: JsonObject, referenced: dict[SchemaVersionRef, JsonObject], message: str
) -> None:
    with pytest.raises(UnusableSchemaError) as caught:
        Validator(document, referenced)
    assert str(caught.value) == message


def test_numbers_are_exact() -> None:
    bounds: JsonObject = {"minimum": -9223372036854775808, "maximum": 9223372036854775807}
    document: JsonObject = {"properties": {"a": bounds, "b": {"multipleOf": 0.01}, "c": {"maximum": 2**53 - 2}}}
    assert told(document, {"a": 2**53 - 1, "b": 1.1}) == []
    assert [pointer for pointer, _, _ in told(document, {"a": -(2**53) + 1, "c": 2**53 - 1})] == ["/c"]
    assert told({"properties": {"a": {"type": "integer"}}}, {"a": 1.0}) == []


LONG = "a" * 30_000 + "!"


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_catastrophic_pattern_is_matched_in_linear_time(pattern: str) -> None:
    assert [keyword for _, keyword, _ in told({"properties": {"x": {"pattern": pattern}}}, {"x": LONG})] == ["pattern"]


LOOKING = ["^(?=(a+)+$)", "^(?!b)(a|a)*$", r"(a*)*\1b", "(?!x).*b", "(?!x)(.*)(.*)(.*)b", "(?<=a)(a|aa)+$"]


@pytest.mark.parametrize(
    "wrap",
    ['{"pattern": P}', '{"not": {"pattern": P}}', '{"if": {"pattern": P}, "then": true, "else": {"maxLength": 0}}', '{"oneOf": [{"pattern": P}, true]}'],  # noqa: E501
)  # fmt: skip
def test_a_pattern_that_looks_around_meets_its_limit_and_is_never_taken_for_satisfied(wrap: str) -> None:
    wrapped = [wrap.replace("P", json.dumps(pattern)) for pattern in LOOKING]
    program = (
        "import json; from configsvc.domain.jsonschema.validator import Validator\n"
        f"for wrapped in {wrapped!r}:\n"
        "    document = {'properties': {'x': json.loads(wrapped)}}\n"
        "    faults = Validator(document, {}).faults({'x': 'a' * 30_000 + '!'})\n"
        "    print(*[fault.message for fault in faults], sep='|')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    limit = "is too long for its pattern, which is very large or needs backtracking: the time to match it is limited"
    # An undecided condition takes the else branch.
    told_by = "must have at most 0 characters" if '"if"' in wrap else limit
    assert done.stdout.splitlines() == [told_by] * len(LOOKING)


def test_names_of_properties_meet_the_same_limit() -> None:
    document: JsonObject = {"patternProperties": {"^(?!b)(a|a)*$": {"type": "string"}}, "additionalProperties": True}
    assert [keyword for _, keyword, _ in told(document, {LONG: 1})] == ["pattern"]
    assert [pointer for pointer, _, _ in told(document, {"aa": 1, "bb": 1})] == ["/aa"]


@pytest.mark.parametrize("pattern", ["^(?!tag|category)[a-z]+$", r"^(?!.*\bnative\b)[a-z.]+$", r"^(a+)-\1$"])
def test_a_pattern_that_looks_around_matches_what_is_short(pattern: str) -> None:
    document: JsonObject = {"properties": {"x": {"pattern": pattern}}}
    assert told(document, {"x": "aaa-aaa" if "1" in pattern else "some.thing"[: 4 if "tag" in pattern else 10]}) == []
    assert [keyword for _, keyword, _ in told(document, {"x": "tag native"})] == ["pattern"]


def nested(depth: int, leaf: JsonObject) -> JsonObject:
    for _ in range(depth):
        leaf = {"a": leaf}
    return leaf


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("closing", ["additionalProperties", "unevaluatedProperties"])
def test_a_recursive_schema_does_not_double_the_work_with_each_level(keyword: str, closing: str) -> None:
    document: JsonObject = {"properties": {"a": {keyword: [{"$ref": "#"}, {"$ref": "#"}]}}, closing: False}
    assert told(document, nested(31, {"b": 1}))
    assert bool(told(document, nested(31, {}))) == (keyword == "oneOf")


def test_a_large_configuration_with_a_fault_in_each_place_is_explained() -> None:
    items: JsonObject = {"anyOf": [{"type": "string"}, {"enum": [f"option {number}" for number in range(5000)]}]}
    document: JsonObject = {"properties": {"a": {"items": items}}}
    many: list[JsonValue] = [1] * 100_000
    assert len(told(document, {"a": many})) == MAX_FAULTS
