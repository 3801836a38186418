"""The OpenAPI document and the reference of the API: what they say of the contract and of the door."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.api.services import SERVICES
from configsvc.web.routes import Routes

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "generated/configapi/openapi.json").read_text(encoding="utf-8"))
REFERENCE = ROOT / "docs" / "reference" / "api"
CONFIGURATION = "/api/v1/applications/{application}/configurations/{name}"


def operation(verb: str, path: str) -> dict[str, Any]:
    return DOCUMENT["paths"][path][verb]


def parameters(verb: str, path: str, place: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in operation(verb, path)["parameters"] if one["in"] == place}


def schema(name: str) -> dict[str, Any]:
    return DOCUMENT["components"]["schemas"][name]


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_an_operation_with_the_comment_of_its_method() -> None:
    operations = [(verb, one) for verbs in DOCUMENT["paths"].values() for verb, one in verbs.items()]
    methods = [one for _, one in operations if one["tags"] != ["Health"]]
    assert len(methods) == len(Routes(SERVICES).all)
    assert {one["operationId"] for _, one in operations} >= {method.name for s in SERVICES for method in s.methods}
    assert all(len(one["description"]) > len(one["summary"]) > 0 for one in methods)


def test_a_write_has_its_headers_and_both_kinds_of_patches() -> None:
    assert set(parameters("patch", CONFIGURATION, "header")) == {"If-Match", "Idempotency-Key", "X-Change-Request"}
    assert "If-None-Match" in parameters("put", CONFIGURATION, "header")
    assert "If-None-Match" in parameters("get", CONFIGURATION, "header")
    content = operation("patch", CONFIGURATION)["requestBody"]["content"]
    kinds = {kind: one["schema"]["type"] for kind, one in content.items()}
    assert kinds == {
        "application/json": "object",
        "application/merge-patch+json": "object",
        "application/json-patch+json": "array",
    }


def test_the_body_of_a_put_is_the_bare_content_and_the_answer_the_bare_resource() -> None:
    put = operation("put", CONFIGURATION)
    assert put["requestBody"]["content"]["application/json"]["schema"]["type"] == "object"
    answer = put["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Configuration"}
    assert set(answer["headers"]) == {"ETag", "X-Configsvc-Revision", "X-Configsvc-Epoch", "X-Configsvc-Changed"}


def test_a_body_does_not_repeat_what_its_path_says() -> None:
    body = schema("CreateConfigurationBody")
    assert "application" not in body["properties"]
    assert body["required"] == ["name", "config"]
    assert schema("CreateConfigurationRequest")["required"] == ["application", "name", "config"]


def test_contents_have_one_form_and_64_bits_are_a_string() -> None:
    properties = schema("Configuration")["properties"]
    assert "config" in properties
    assert "config_json" not in properties
    assert properties["version"]["type"] == "string"
    assert not any("format" in one for one in parameters("get", CONFIGURATION, "query"))


def test_limits_that_comments_state_are_keywords() -> None:
    properties = schema("CreateApplicationRequest")["properties"]
    assert properties["comments"]["maxLength"] == 1024
    name = re.compile(properties["name"]["pattern"])
    assert all(name.fullmatch(text) for text in ("a", "A-1._b", "a" * 256))
    assert not any(name.fullmatch(text) for text in ("", "-a", "a/b", "a b", "a" * 257))
    assert re.fullmatch(schema("Configuration")["properties"]["name"]["pattern"], "a/b")
    writes = schema("BatchWriteConfigurationsRequest")["properties"]["writes"]
    assert (writes["minItems"], writes["maxItems"]) == (1, 1000)


def test_unknown_fields_are_for_answers_alone() -> None:
    assert schema("CreateApplicationRequest")["additionalProperties"] is False
    assert "additionalProperties" not in schema("Application")


def test_errors_have_the_statuses_that_their_codes_have_and_the_details_of_the_contract() -> None:
    assert set(operation("get", CONFIGURATION)["responses"]) >= {"200", "304", "400", "401", "403", "404", "429", "503"}
    assert "409" in operation("patch", CONFIGURATION)["responses"]
    assert "409" not in operation("get", CONFIGURATION)["responses"]
    texts = "".join(one["description"] for one in DOCUMENT["components"]["responses"].values())
    named = set(re.findall(r"`([A-Z_]+)`:", texts))
    of_operations = {"ITEMS_FAILED", "OPERATION_CANCELLED", "ATTEMPTS_EXHAUSTED"}
    assert named == {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]} - of_operations
    details = schema("Status")["properties"]["details"]["items"]["anyOf"]
    names = {one["$ref"].rpartition("/")[2] for one in details}
    assert {"ErrorInfo", "BadRequest", "RetryInfo", "BatchFailure"} <= names
    assert all("@type" in schema(name)["required"] for name in names)


def test_streams_say_how_their_messages_are_written() -> None:
    watch = operation("get", "/api/v1/configurations:watch")
    assert set(watch["responses"]["200"]["content"]) == {"text/event-stream", "application/json"}
    assert {"wait", "page_token", "Last-Event-ID"} <= {one["name"] for one in watch["parameters"]}
    export = operation("get", "/api/v1/configurations:export")["responses"]["200"]["content"]
    assert export["application/x-ndjson"]["schema"]["contentSchema"]["items"] == {
        "$ref": "#/components/schemas/ExportConfigurationsResponse"
    }


def test_a_token_is_sent_as_a_bearer_or_not_at_all() -> None:
    assert DOCUMENT["security"] == [{"bearer": []}, {}]
    assert DOCUMENT["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_reference_has_a_section_for_every_method(service: Any) -> None:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", service.name).lower()
    text = (REFERENCE / f"{name}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [method.name for method in service.methods]
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        assert re.search(r"^- Permission: \[[A-Z_]+\]", section, re.MULTILINE)
        assert re.search(r"^- Since: \d+\.\d+, (stable|experimental)$", section, re.MULTILINE)
        assert re.search(r"^- `(GET|POST|PUT|PATCH|DELETE) /api/v1/", section, re.MULTILINE)
        assert "Errors, with their HTTP statuses:" in section
