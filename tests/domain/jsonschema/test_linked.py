"""References whose target depends on the way to them, and references to meta-schemas."""

import pytest

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.closing import closed
from configsvc.domain.jsonschema.documents import faults_of_document, references
from configsvc.domain.jsonschema.keywords import DRAFT_URIS
from configsvc.domain.jsonschema.linked import UnusableSchemaError
from configsvc.domain.jsonschema.metaschemas import METASCHEMAS
from configsvc.domain.jsonschema.validator import Validator
from configsvc.domain.models import SchemaVersionRef

TREE: JsonObject = {
    "$dynamicAnchor": "node",
    "type": "object",
    "properties": {"data": True, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}},
}
STRICT: JsonObject = {
    "$dynamicAnchor": "node",
    "$ref": "configsvc://schemas/tree@1",
    "unevaluatedProperties": False,
}
STORED = {SchemaVersionRef(schema="tree", version=1): TREE}
MISSPELT: JsonObject = {"children": [{"daat": 1}]}


def told(document: JsonObject, config: JsonObject) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.keyword) for fault in Validator(document, {}).faults(config)]


def test_an_extension_in_another_stored_version_applies_wherever_the_extended_one_recurs() -> None:
    strict = Validator(STRICT, STORED)
    assert strict.accepts({"children": [{"data": 1}]})
    assert [(fault.pointer, fault.keyword) for fault in strict.faults(MISSPELT)] == [
        ("/children/0", "unevaluatedProperties")
    ]
    assert Validator(TREE, {}).accepts(MISSPELT)


def test_one_extension_does_not_apply_to_what_another_one_extends() -> None:
    document: JsonObject = {
        "properties": {"strict": {"$ref": "#/$defs/strict"}, "plain": {"$ref": "configsvc://schemas/tree@1"}},
        "$defs": {"strict": {**STRICT, "$id": "https://example.com/strict"}},
    }
    validator = Validator(document, STORED)
    found = validator.faults({"strict": MISSPELT, "plain": MISSPELT})
    assert [fault.pointer for fault in found] == ["/strict/children/0"]


def test_a_recursive_reference_without_a_recursive_anchor_is_a_plain_one() -> None:
    document: JsonObject = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/inner"}],
        "$defs": {
            "inner": {
                "$id": "https://example.com/inner",
                "type": "object",
                "additionalProperties": {"anyOf": [{"type": "integer"}, {"$recursiveRef": "#"}]},
            }
        },
    }
    assert told(document, {"a": {"b": 1}}) == []
    assert told(document, {"a": True}) != []


def test_a_reference_beside_a_dynamic_one_applies_too() -> None:
    document: JsonObject = {
        "properties": {"a": {"$ref": "#/$defs/small", "$dynamicRef": "#large"}},
        "$defs": {"small": {"maximum": 9}, "large": {"$dynamicAnchor": "large", "minimum": 5}},
    }
    assert told(document, {"a": 7}) == []
    assert [keyword for _, keyword in told(document, {"a": 10})] == ["maximum"]
    assert [keyword for _, keyword in told(document, {"a": 1})] == ["minimum"]


def test_keywords_of_other_drafts_are_no_references() -> None:
    document: JsonObject = {"$schema": "http://json-schema.org/draft-07/schema#", "$dynamicRef": "#nothing"}
    assert faults_of_document(document) == ()
    assert told(document, {"a": 1}) == []


def test_dynamic_references_in_too_many_combinations_are_refused() -> None:
    names = [f"n{index}" for index in range(30)]
    resources: JsonObject = {
        name: {
            "$id": f"https://example.com/{name}",
            "allOf": [{"$ref": other} for other in names],
            "$defs": {anchor: {"$dynamicAnchor": anchor} for anchor in ("x", name)},
            "properties": {one: {"$dynamicRef": f"https://example.com/{one}#{one}"} for one in names},
        }
        for name in names
    }
    with pytest.raises(UnusableSchemaError, match="too many combinations"):
        Validator({"$ref": "https://example.com/n0", "$defs": resources}, {})


@pytest.mark.parametrize("uri", [*METASCHEMAS, *(f"{uri}#" for uri in METASCHEMAS)])
@pytest.mark.parametrize("draft", DRAFT_URIS)
def test_a_metaschema_is_referred_to_from_every_draft(draft: str, uri: str) -> None:
    document: JsonObject = {"$schema": draft, "properties": {"schema": {"$ref": uri}}}
    assert faults_of_document(document) == ()
    assert references(document) == frozenset()
    assert told(document, {"schema": {}}) == []
    assert [pointer for pointer, _ in told(document, {"schema": 7})] == ["/schema"]


@pytest.mark.parametrize("uri", DRAFT_URIS)
def test_the_faults_of_a_schema_in_a_configuration_are_explained(uri: str) -> None:
    document: JsonObject = {"properties": {"schema": {"$ref": uri}}}
    found = told(document, {"schema": {"properties": {"a": {"minLength": -1}, "b": {"type": "string"}}}})
    assert found == [("/schema/properties/a/minLength", "minimum")]


def test_a_part_of_a_metaschema_is_referred_to() -> None:
    uri = "http://json-schema.org/draft-07/schema#/definitions/nonNegativeInteger"
    assert told({"properties": {"size": {"$ref": uri}}}, {"size": -1}) == [("/size", "minimum")]


def test_a_document_that_refers_to_a_metaschema_is_closed_around_it() -> None:
    uri = "http://json-schema.org/draft-07/schema#"
    document, _ = closed({"properties": {"schema": {"$ref": uri}, "name": {"type": "string"}}})
    assert told(document, {"schema": {"type": "object", "x-note": 1}}) == []
    assert told(document, {"nmae": "a"}) == [("", "additionalProperties")]


def test_a_stored_version_refers_to_a_metaschema_too() -> None:
    stored: dict[SchemaVersionRef, JsonObject] = {
        SchemaVersionRef(schema="form", version=1): {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"schema": {"$ref": "http://json-schema.org/draft-07/schema#"}},
        }
    }
    validator = Validator({"properties": {"form": {"$ref": "configsvc://schemas/form@1"}}}, stored)
    assert [fault.pointer for fault in validator.faults({"form": {"schema": {"type": 7}}})] == ["/form/schema/type"]


@pytest.mark.parametrize(
    "document", [{"if": {"anyOf": 1}}, {"$schema": "https://example.com/mine"}, {"$ref": "http://["}]
)
def test_a_document_that_was_written_in_sql_and_is_no_schema_is_unusable(document: JsonObject) -> None:
    with pytest.raises(UnusableSchemaError):
        Validator(document, {})
