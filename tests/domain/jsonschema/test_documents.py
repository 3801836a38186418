"""Well-formedness of schema documents: every fault, with its JSON pointer."""

import subprocess
import sys

import pytest

from configsvc.domain.content import JsonObject
from configsvc.domain.jsonschema.documents import faults_of_document, references
from configsvc.domain.jsonschema.faults import MAX_FAULTS
from configsvc.domain.jsonschema.keywords import DRAFT_URIS
from configsvc.domain.jsonschema.validator import Validator
from configsvc.domain.models import SchemaVersionRef
from tests.domain.jsonschema.corpus import documents, needs_corpus


def told(document: JsonObject) -> set[tuple[str, str]]:
    return {(fault.pointer, fault.keyword) for fault in faults_of_document(document)}


@pytest.mark.parametrize("uri", [*DRAFT_URIS, *(f"{uri}#" for uri in DRAFT_URIS)])
def test_every_fault_is_listed_with_its_pointer_in_each_draft(uri: str) -> None:
    document: JsonObject = {
        "$schema": uri,
        "type": "objekt",
        "properties": {"a/b": {"minLength": -1, "pattern": "("}, "c": {"$ref": "#/nowhere"}},
        "patternProperties": {"[": {"required": "x"}},
    }
    assert told(document) == {
        ("/type", "anyOf"),
        ("/properties/a~1b/minLength", "minimum"),
        ("/properties/a~1b/pattern", "pattern"),
        ("/properties/c/$ref", "$ref"),
        ("/patternProperties/[", "patternProperties"),
        ("/patternProperties/[/required", "type"),
    }


def test_a_document_without_a_draft_is_of_2020_12() -> None:
    assert told({"items": [{}]}) == {("/items", "type")}
    assert told({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{}]}) == set()


@pytest.mark.parametrize("uri", ["http://json-schema.org/draft-03/schema#", "https://example.com/mine", 7])
def test_an_unknown_draft_is_a_fault(uri: str | int) -> None:
    assert told({"$schema": uri}) == {("/$schema", "$schema")}


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:9/schema.json",
        "https://json-schema.org/draft/2020-12/other",
        "file:///etc/passwd",
        "other.json",
        "http://[",
        "configsvc://schemas/a",
        "configsvc://schemas/a@0",
        "configsvc://schemas/@1",
        "configsvc://elsewhere/a@1",
        "#anchor",
        "#/properties",
        "#/title",
    ],
)
def test_a_reference_leads_into_the_document_or_to_a_stored_version_alone(reference: str) -> None:
    document: JsonObject = {"title": "t", "properties": {"a": {"$ref": reference}}}
    expected = {("/properties/a/$ref", "$ref")} if reference != "#/properties" else set[tuple[str, str]]()
    assert told(document) == expected


def test_an_id_that_is_no_uri_is_a_fault() -> None:
    assert told({"properties": {"a": {"$id": "http://["}}}) == {("/properties/a/$id", "$id")}


def test_references_to_stored_versions_are_listed() -> None:
    document: JsonObject = {
        "properties": {
            "a": {"$ref": "configsvc://schemas/team.a-b@2"},
            "b": {"$ref": "configsvc://schemas/c@12#/$defs/x"},
            "c": {"$ref": "configsvc://schemas/c@12#anchor"},
            "d": {"enum": [{"$ref": "configsvc://schemas/not@1"}], "$ref": "#/$defs/d"},
        },
        "$defs": {"d": {}},
    }
    assert told(document) == set()
    assert references(document) == {
        SchemaVersionRef(schema="team.a-b", version=2),
        SchemaVersionRef(schema="c", version=12),
    }


def test_ids_and_anchors_lead_to_what_they_name() -> None:
    document: JsonObject = {
        "$id": "https://example.com/root.json",
        "properties": {"a": {"$ref": "part.json#name"}, "b": {"$ref": "root.json#/$defs/part/$defs/deep"}},
        "$defs": {"part": {"$id": "part.json", "$defs": {"deep": {"$anchor": "name", "type": "string"}}}},
    }
    assert told(document) == set()
    assert [fault.pointer for fault in Validator(document, {}).faults({"a": 1, "b": 1})] == ["/a", "/b"]


def test_a_regular_expression_has_limits() -> None:
    assert told({"pattern": "((a{1,100}){1,100}){1,100}"}) == {("/pattern", "pattern")}
    assert told({"pattern": "a" * 5000}) == {("/pattern", "pattern")}


def test_at_most_a_hundred_faults_are_listed() -> None:
    document: JsonObject = {"properties": {f"p{index}": {"minLength": -1} for index in range(500)}}
    assert len(faults_of_document(document)) == MAX_FAULTS


CHAIN = "{'$ref': '#/$defs/0', '$defs': {str(i): {'$ref': f'#/$defs/{i + 1}'} for i in range(20000)} | {'20000': {}}}"
DOUBLING = (
    "{'$ref': '#/$defs/0', '$defs': {str(i): {'allOf': [{'$ref': f'#/$defs/{i + 1}'} for _ in 'ab']}"
    " for i in range(40)} | {'40': {}}}"
)


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        ("{'$ref': '#'}", 0),
        ("{'$ref': '#/$defs/a', '$defs': {'a': {'$ref': '#/$defs/b'}, 'b': {'$ref': '#/$defs/a'}}}", 0),
        ("{'not': {'$ref': '#'}}", 0),
        ("{'$dynamicAnchor': 'x', '$dynamicRef': '#x'}", 0),
        (CHAIN, 1),
        (DOUBLING, 0),
    ],
    ids=["itself", "each other", "not itself", "dynamic", "a long chain", "ways that double"],
)
def test_references_without_end_end(document: str, faults: int) -> None:
    program = (
        "from configsvc.domain.jsonschema.documents import faults_of_document\n"
        "from configsvc.domain.jsonschema.validator import Validator\n"
        f"document = {document}; found = faults_of_document(document); print(len(found))\n"
        "validator = None if found else Validator(document, {})\n"
        # More work than this is left to a process that can be ended.
        "if validator and validator.work.bound({'a': {'a': {}}}) < 10**6: validator.faults({'a': {'a': {}}})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{faults}\n", "")


@needs_corpus
def test_every_real_schema_is_well_formed() -> None:
    found = {name: faults for name, document in documents().items() if (faults := faults_of_document(document))}
    assert found == {}
    assert len(documents()) == 283
