"""Closed schemas: what closing adds, and that it refuses nothing except undeclared properties."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.closing import closed
from configsvc.domain.jsonschema.documents import faults_of_document
from configsvc.domain.jsonschema.keywords import draft_uri
from configsvc.domain.jsonschema.validator import Validator
from tests.domain.jsonschema.corpus import documents as corpus_documents
from tests.domain.jsonschema.corpus import needs_corpus
from tests.domain.jsonschema.schemas import documents, drafts, objects, unhurried, values

A: JsonObject = {"properties": {"a": {}}}
B: JsonObject = {"properties": {"b": {}}}

any_document = drafts.flatmap(documents)


def added(document: JsonObject, draft: int = 2020) -> dict[str, str]:
    return {found.pointer: found.keyword for found in closed({"$schema": draft_uri(draft), **document})[1]}


@pytest.mark.parametrize("draft", [4, 6, 7, 2019, 2020])
def test_objects_that_declare_properties_and_say_nothing_are_closed(draft: int) -> None:
    document: JsonObject = {
        "properties": {"one": A, "many": {"items": A}, "any": {}, "list": {"type": "array", **A}},
        "patternProperties": {"^x-": A},
    }
    assert added(document, draft) == dict.fromkeys(
        ["", "/properties/one", "/properties/many/items", "/patternProperties/^x-"], "additionalProperties"
    )


@pytest.mark.parametrize(
    "said", [{"additionalProperties": True}, {"additionalProperties": {}}, {"unevaluatedProperties": True}]
)
def test_what_is_said_stays(said: JsonObject) -> None:
    assert added({**A, **said}) == {}


@pytest.mark.parametrize(
    "composition",
    [
        {"allOf": [B]},
        {"anyOf": [B, {}]},
        {"oneOf": [B, {"required": ["c"]}]},
        {"if": B, "then": {}},
        {"dependentSchemas": {"a": B}},
        {"$ref": "#/$defs/b", "$defs": {"b": B}},
        {"$ref": "configsvc://schemas/b@1"},
    ],
)
def test_a_composed_object_is_closed_around_all_of_its_parts(composition: JsonObject) -> None:
    assert added({**A, **composition}) == {"": "unevaluatedProperties"}
    if not composition.keys() & {"dependentSchemas", "$defs"}:
        assert added({**A, "allOf": [composition]}, 7) == {}


def test_a_composition_that_declares_nothing_is_closed_as_a_plain_object_is() -> None:
    composed: JsonObject = {**A, "anyOf": [{"required": ["a"]}, {"minProperties": 1}]}
    assert added(composed) == added(composed, 4) == {"": "additionalProperties"}


def test_a_definition_is_closed_where_it_stands_for_the_whole_object() -> None:
    document: JsonObject = {"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": A}}
    assert added(document) == {"": "additionalProperties", "/$defs/a": "additionalProperties"}


def test_a_definition_that_is_also_a_part_is_closed_where_it_is_referred_to() -> None:
    document: JsonObject = {
        "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"allOf": [{"$ref": "#/$defs/a"}, B]}},
        "$defs": {"a": A},
    }
    assert added(document) == {
        "": "additionalProperties",
        "/properties/x": "unevaluatedProperties",
        "/properties/y": "unevaluatedProperties",
    }
    assert added(document, 2019) == added(document)


@pytest.mark.parametrize("keyword", ["not", "if", "contains"])
def test_nothing_is_closed_where_refusing_more_would_accept_more(keyword: str) -> None:
    assert added({keyword: {"properties": {"deep": A}}}).keys() <= {""}
    assert added({"oneOf": [{"properties": {"deep": A}}]}) == {"": "unevaluatedProperties"}


@given(any_document)
@unhurried
def test_closing_again_adds_nothing(document: JsonObject) -> None:
    once, _ = closed(document)
    assert closed(once) == (once, ())
    assert not faults_of_document(once)


@given(any_document, st.lists(objects, min_size=3, max_size=10))
@unhurried
def test_what_the_open_schema_refuses_the_closed_one_refuses(document: JsonObject, configs: list[JsonObject]) -> None:
    before, after = Validator(document, {}), Validator(closed(document)[0], {})
    for config in configs:
        assert after.faults(config) or not before.faults(config), (document, config)


@given(drafts, st.dictionaries(st.sampled_from("abc"), values, max_size=3), st.sampled_from(["allOf", "plain", "$ref"]))
@unhurried
def test_an_object_with_declared_properties_alone_stays_accepted(draft: int, config: JsonObject, how: str) -> None:
    declaring: JsonObject = {"properties": {"a": {}, "b": {}}, "patternProperties": {"^c": {}}}
    definitions = "$defs" if draft >= 2019 else "definitions"
    documents: dict[str, JsonObject] = {
        "plain": declaring,
        "allOf": {"properties": {"a": {}}, "allOf": [declaring]},
        "$ref": {"$ref": f"#/{definitions}/d", definitions: {"d": declaring}},
    }
    result, _ = closed({"$schema": draft_uri(draft), **documents[how]})
    assert not Validator(result, {}).faults(config)


@needs_corpus
def test_real_schemas_can_be_closed() -> None:
    # Each takes a while to compile, and one in eight shows as much as all.
    for name, document in islice(corpus_documents().items(), None, None, 8):
        result, additions = closed(document)
        assert not faults_of_document(result), name
        assert closed(result) == (result, ()), name
        assert (result == document) == (not additions), name
