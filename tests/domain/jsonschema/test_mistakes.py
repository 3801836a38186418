"""Mistakes in schema documents, named in the words of their authors."""

import pytest

from configsvc.domain.content import JsonObject, JsonValue
from configsvc.domain.jsonschema.documents import faults_of_document

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
TYPES = "must be one of array, boolean, integer, null, number, object, string, or a list of these, but is"
SCHEMA = "must be a schema (an object, true or false), but is"


def told(document: JsonObject) -> dict[str, str]:
    return {fault.pointer: fault.message for fault in faults_of_document(document)}


@pytest.mark.parametrize("draft", [DRAFT_4, DRAFT_7, "https://json-schema.org/draft/2020-12/schema"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("int", f'{TYPES} "int"; did you mean "integer"?'),
        ("String", f'{TYPES} "String"; did you mean "string"?'),
        ("any", f'{TYPES} "any": leave "type" out to accept any value'),
        ("whatever", f'{TYPES} "whatever"'),
        (7, f"{TYPES} 7"),
    ],
)
def test_a_wrong_type_is_named_with_the_right_ones(draft: str, wrong: JsonValue, message: str) -> None:
    assert told({"$schema": draft, "properties": {"type": {"type": wrong}}}) == {"/properties/type/type": message}


def test_a_wrong_type_in_a_list_is_named() -> None:
    assert told({"type": ["string", "bool"]}) == {"/type/1": f'{TYPES} "bool"; did you mean "boolean"?'}


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        ({"required": True}, "/required", 'must be an array, but is true; list the names of required properties in "required" of the object that has them'),  # noqa: E501
        ({"properties": ["a"]}, "/properties", "must be an object, but is an array"),
        ({"properties": {"a": "string"}}, "/properties/a", f'{SCHEMA} "string"; write {{"type": "string"}}'),
        ({"additionalProperties": "false"}, "/additionalProperties", f'{SCHEMA} "false"'),
        ({"$schema": DRAFT_4, "additionalProperties": "no"}, "/additionalProperties", f'{SCHEMA} "no"'),
        ({"$schema": DRAFT_7, "items": "a"}, "/items", 'must be a schema or a list of schemas, but is "a"'),
        ({"$schema": DRAFT_7, "dependencies": {"type": "b"}}, "/dependencies/type", 'must be a schema or a list of property names, but is "b"'),  # noqa: E501
        ({"items": [{}]}, "/items", f"{SCHEMA} an array; from draft 2020-12 on, a list of schemas, one for each item, is called prefixItems"),  # noqa: E501
        ({"exclusiveMinimum": True}, "/exclusiveMinimum", "must be a number, but is true; from draft 6 on, it is the bound itself"),  # noqa: E501
        ({"enum": "a"}, "/enum", 'must be an array, but is "a"'),
        ({"minimum": "1"}, "/minimum", 'must be a number, but is "1"'),
        ({"minLength": -1}, "/minLength", "must be at least 0"),
        ({"multipleOf": 0}, "/multipleOf", "must be greater than 0"),
        ({"anyOf": []}, "/anyOf", "must have at least 1 items"),
        ({"$anchor": "1 a"}, "/$anchor", 'must be a name: a letter or _, then letters, digits, -, _ and ., but is "1 a"'),  # noqa: E501
        ({"pattern": "a("}, "/pattern", "is not a regular expression: missing ), unterminated subpattern at character 2"),  # noqa: E501
        ({"pattern": "(?<a>x)(?<b>"}, "/pattern", "is not a regular expression: missing ), unterminated subpattern at character 8"),  # noqa: E501
        ({"pattern": "a{3,1}"}, "/pattern", "is not a regular expression: min repeat greater than max repeat at character 3"),  # noqa: E501
        ({"patternProperties": {"*": True}}, "/patternProperties/*", "is not a regular expression: nothing to repeat at character 1"),  # noqa: E501
        ({"pattern": r"\p{Foo}"}, "/pattern", "is not a supported regular expression, or is too large when compiled: repetitions such as {100} multiply"),  # noqa: E501
        ({"$ref": "#/$defs/prot", "$defs": {"port": {}}}, "/$ref", 'has no target: there is no "prot" in /$defs; did you mean "port"?'),  # noqa: E501
        ({"$ref": "configsvc://schemas/net"}, "/$ref", 'refers to "configsvc://schemas/net": write configsvc://schemas/NAME@VERSION, with a version of at least 1'),  # noqa: E501
    ],
)  # fmt: skip
def test_a_mistake_is_named_in_the_words_of_its_author(document: JsonObject, pointer: str, message: str) -> None:
    assert told(document) == {pointer: message}


def test_a_draft_that_is_almost_one_is_named() -> None:
    assert (
        "did you mean http://json-schema.org/draft-07/schema?"
        in told({"$schema": "https://json-schema.org/draft-07/schema#"})["/$schema"]
    )


def test_a_reference_to_another_document_says_what_to_do() -> None:
    for reference in ("other.json", "file:///etc/x.json", "https://example.com/a.json"):
        message = told({"$ref": reference})["/$ref"]
        assert message.startswith(
            f'refers to "{reference}", which is not in this document: the service fetches nothing.'
        )
        assert "configsvc://schemas/NAME@VERSION" in message
