"""Reasons of violations: constants that a program can decide by, where the description is for people."""

import re
from dataclasses import replace

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SchemaVersionRef
from configsvc.api.status_sizes import MAX_WIRE_BYTES, wire_bytes
from configsvc.api.statuses import status_of
from configsvc.domain.content import JsonObject
from configsvc.domain.errors import SchemaViolatedError, Violation, reason_of_keyword
from configsvc.domain.jsonschema.keywords import IN_PLACE, MEMBERS
from configsvc.domain.jsonschema.messages import LEAVES
from tests.api.calls import create, failing
from tests.api.test_reserved_keys import reasons_of
from tests.doors.bindings import request_of
from tests.operations.operating import PER_ITEM, imported, item, items_of
from tests.schemas.calls import create_schema
from tests.service import STUBS, Door, Service
from tests.writes import batches

# The form that google.rpc prescribes.
FORM = re.compile(r"[A-Z][A-Z0-9_]+[A-Z0-9]")
DOCUMENT: JsonObject = {
    "type": "object",
    "properties": {"replicas": {"type": "integer", "minimum": 1}, "kind": {"enum": ["a"]}, "name": {"type": "string"}},
    "required": ["kind"],
    "additionalProperties": False,
}
FAULTY: JsonObject = {"replicas": 0, "name": 1, "other": 1}
REASONS = {"config": {"ADDITIONAL_PROPERTIES", "REQUIRED"}, "config/replicas": {"MINIMUM"}, "config/name": {"TYPE"}}


@pytest.fixture
async def pinned(shop: Service) -> Service:
    await create_schema(shop, "web", DOCUMENT, closing=CLOSING_AS_WRITTEN)
    return shop


async def test_a_violation_of_a_schema_names_its_keyword(pinned: Service) -> None:
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED") as caught:
        await create(pinned, "web", FAULTY, schema=SchemaVersionRef(schema="web"))
    found = reasons_of(caught.value)
    assert found.keys() == REASONS.keys()
    assert all(reason in REASONS[field] for field, reason in found.items())


async def test_a_violation_in_a_batch_names_its_keyword(pinned: Service) -> None:
    with failing(grpc.StatusCode.FAILED_PRECONDITION, "BATCH_FAILED") as caught:
        await batches.write(pinned, batches.upsert("web", FAULTY, schema=SchemaVersionRef(schema="web")))
    assert {"MINIMUM", "TYPE"} <= set(reasons_of(caught.value).values())


async def test_the_error_of_an_item_names_the_keyword(pinned: Service) -> None:
    operation = await imported(pinned, item("web", {"kind": "a", "replicas": 0}, schema="web@1"), mode=PER_ITEM)
    (failed,) = await items_of(pinned, operation)
    assert [fault.keyword for fault in failed.faults] == ["minimum"]
    bad_request = BadRequest()
    assert any(detail.Unpack(bad_request) for detail in failed.error.details)
    assert [violation.reason for violation in bad_request.field_violations] == ["MINIMUM"]


async def create_over_grpc(service: Service) -> None:
    """Create an application with a field of another version."""
    call = service.channel.unary_unary("/configapi.v1.ApplicationService/CreateApplication")
    await call(CreateApplicationRequest(name="shop").SerializeToString() + b"\xf8\x3f\x01")


async def create_over_http(service: Service) -> None:
    """Create an application with a field of another version."""
    assert service.http
    method = STUBS["applications"].methods_by_name["CreateApplication"]
    request = replace(request_of(method, CreateApplicationRequest(name="shop")), body=b'{"name":"shop","colour":1}')
    await service.http.send(method, request)


async def test_a_field_that_the_server_does_not_know_is_named_as_such(service: Service) -> None:
    with failing(grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FIELD") as caught:
        await (create_over_http(service) if service.door is Door.HTTP else create_over_grpc(service))
    assert set(reasons_of(caught.value).values()) == {"UNSUPPORTED_FIELD"}


def test_every_keyword_is_a_reason_in_the_form_of_google_rpc_and_fits_whole() -> None:
    keywords = {*LEAVES, *IN_PLACE, *MEMBERS, "$ref", "$schema", "false"} - {"if"}
    for keyword in keywords:
        reason = reason_of_keyword(keyword)
        assert FORM.fullmatch(reason), keyword
        # Texts are cut to 40 bytes at the least.
        assert len(reason) <= 40
    assert reason_of_keyword("additionalProperties") == "ADDITIONAL_PROPERTIES"
    assert reason_of_keyword("$dynamicRef") == "DYNAMIC_REF"
    assert reason_of_keyword("") == ""


def test_a_status_with_many_reasons_fits_into_the_trailers() -> None:
    violations = tuple(
        Violation(field=f"config/{'x' * 300}", description="y" * 300, reason="UNEVALUATED_PROPERTIES")
        for _ in range(100)
    )
    assert wire_bytes(status_of(SchemaViolatedError(violations))) <= MAX_WIRE_BYTES
