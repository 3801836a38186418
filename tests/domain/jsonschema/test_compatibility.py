"""Compatibility of two documents: an empty answer is a proof."""

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.compatibility import incompatibilities
from configsvc.domain.jsonschema.documents import faults_of_document
from configsvc.domain.jsonschema.validator import Validator
from tests.domain.jsonschema.corpus import documents as corpus_documents
from tests.domain.jsonschema.corpus import needs_corpus
from tests.domain.jsonschema.schemas import documents, drafts, objects, schemas, unhurried

OPEN: JsonObject = {
    "type": "object",
    "properties": {"port": {"type": "integer", "minimum": 1}, "tree": {"$ref": "#/$defs/tree"}},
    "required": ["port"],
    "$defs": {"tree": {"properties": {"leaf": {"$ref": "#/$defs/tree"}}, "additionalProperties": False}},
}
CLOSED: JsonObject = {**OPEN, "additionalProperties": False}


@st.composite
def changes(draw: st.DrawFn) -> tuple[JsonObject, JsonObject]:
    """Generate a document, and another that has much of it."""
    draft = draw(drafts)
    old = draw(documents(draft))
    new = _changed(draw, old, draw(documents(draft)), draft)
    return old, new


def _changed(draw: st.DrawFn, old: Any, other: Any, draft: int) -> Any:
    """Replace or remove one part of the document, at any depth."""
    if isinstance(old, dict) and old and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(old)))
        if key == "$schema":
            return old
        if isinstance(old[key], dict) and draw(st.booleans()):
            return {**old, key: _changed(draw, old[key], draw(schemas(draft)), draft)}
        if draw(st.booleans()) and key not in {"$defs", "definitions", "x", "y"}:
            return {name: value for name, value in old.items() if name != key}
        return {**old, key: other[key]} if isinstance(other, dict) and key in other else old
    return {**other, "$schema": old["$schema"]} if isinstance(old, dict) and "$schema" in old else other


@given(changes(), st.lists(objects, min_size=5, max_size=15))
@unhurried
def test_what_is_said_to_be_compatible_refuses_nothing_that_was_accepted(
    change: tuple[JsonObject, JsonObject], configs: list[JsonObject]
) -> None:
    old, new = change
    if faults_of_document(new) or incompatibilities(old, new):
        return
    before, after = Validator(old, {}), Validator(new, {})
    for config in configs:
        assert before.faults(config) or not after.faults(config), (old, new, config)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(OPEN, {**OPEN, "title": "Ports"}, id="a title"),
        pytest.param(CLOSED, OPEN, id="opened"),
        pytest.param(OPEN, {**OPEN, "required": []}, id="less is required"),
        pytest.param(CLOSED, {**CLOSED, "properties": {**OPEN["properties"], "host": {"type": "string"}}}, id="a property of a closed object"),  # pyright: ignore[reportGeneralTypeIssues]  # noqa: E501
        pytest.param({"properties": {"a": {"enum": [1, 2]}}}, {"properties": {"a": {"enum": [2, 1, 3]}}}, id="a longer enum"),  # noqa: E501
        pytest.param({"properties": {"a": {"type": "integer"}}}, {"properties": {"a": {"type": ["number", "null"]}}}, id="a wider type"),  # noqa: E501
        pytest.param({"properties": {"a": {"minimum": 2}}}, {"properties": {"a": {"exclusiveMinimum": 1}}}, id="a lower bound"),  # noqa: E501
        pytest.param({"anyOf": [{"required": ["a"]}]}, {"anyOf": [{"required": ["b"]}, {"required": ["a"]}]}, id="another alternative"),  # noqa: E501
        pytest.param({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"required": ["a"]}, id="one of all"),
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": OPEN}}, {"$ref": "#/$defs/b", "$defs": {"b": OPEN}}, id="a definition by another name"),  # noqa: E501
        pytest.param({"$ref": "configsvc://schemas/a@1"}, {"$ref": "configsvc://schemas/a@1"}, id="the same stored version"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_change_that_widens_is_compatible(old: JsonObject, new: JsonObject) -> None:
    assert incompatibilities(old, new) == ()


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        (OPEN, CLOSED, "/additionalProperties"),
        (OPEN, {**OPEN, "required": ["port", "host"]}, "/required"),
        ({"properties": {"a": True}}, {"properties": {"a": {"type": "string"}}}, "/properties/a/type"),
        ({"properties": {"a": {"pattern": "^a"}}}, {"properties": {"a": {"pattern": "^b"}}}, "/properties/a/pattern"),
        ({}, {"properties": {"a": {"pattern": "^b"}}}, "/properties/a/pattern"),
        ({"$ref": "configsvc://schemas/a@1"}, {"$ref": "configsvc://schemas/a@2"}, "/$ref"),
        ({"oneOf": [{"required": ["a"]}]}, {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, "/oneOf"),
        ({}, {"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        ({"anyOf": [{"$ref": "#"}]}, {"required": ["a"]}, "/required"),
    ],
)
def test_a_change_that_may_refuse_is_reported_with_its_place(old: JsonObject, new: JsonObject, pointer: str) -> None:
    assert pointer in [fault.pointer for fault in incompatibilities(old, new)]


@needs_corpus
def test_real_schemas_are_compatible_with_itself_under_another_title() -> None:
    for name, document in islice(corpus_documents().items(), None, None, 8):
        assert incompatibilities(document, {**document, "title": "another"}) == (), name
