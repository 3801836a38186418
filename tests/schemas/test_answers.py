"""Responses of SchemaService: revisions, epochs, etags, what changed, and how large they are."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.schema_pb2 import SCHEMA_VIEW_BASIC
from configapi.v1.schema_service_pb2 import (
    SCHEMA_VERSION_MODE_PINNED,
    CheckSchemaVersionRequest,
    CreateSchemaRequest,
    CreateSchemaResponse,
    CreateSchemaVersionRequest,
    DeleteSchemaRequest,
    DeleteSchemaResponse,
    GetSchemaRequest,
    GetSchemaVersionRequest,
    ImportedSchema,
    ImportSchemasRequest,
    ListSchemasRequest,
    ListSchemaVersionsRequest,
    SchemaImport,
)
from configsvc.domain.content import JsonObject, encode_json
from configsvc.domain.jsonschema.closing import closed
from configsvc.domain.schema_versions import MAX_DOCUMENT_BYTES
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.wire.schemas import document_message
from tests.api.calls import Connection, content, create_application, failing, head, refused
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    create_schema,
    create_version,
    get_schema,
    get_version,
    import_request,
    pin,
    schema_names,
    version_request,
)
from tests.service import Service, error_info_of, struct, violations_of

LARGE = 2**53 + 1


def request_of(document: JsonObject = REPLICAS, **fields: Any) -> CreateSchemaRequest:
    return CreateSchemaRequest(name="web", document=struct(document), **fields)


async def created(service: Service, document: JsonObject = REPLICAS, **fields: Any) -> CreateSchemaResponse:
    return await service.schemas.CreateSchema(request_of(document, **fields))


async def deleted(service: Service, name: str = "web", **fields: Any) -> DeleteSchemaResponse:
    return await service.schemas.DeleteSchema(DeleteSchemaRequest(name=name, **fields))


# Revisions, epochs, and what changed


async def test_a_write_answers_with_its_revision_the_epoch_and_that_it_changed_something(service: Service) -> None:
    made = await created(service)
    epoch = (await service.schemas.ListSchemas(ListSchemasRequest())).epoch
    assert epoch
    assert (made.revision, made.epoch, made.changed) == (1, epoch, True)
    assert made.schema.revision == 1
    second = await service.schemas.CreateSchemaVersion(version_request(AT_MOST_10))
    assert (second.revision, second.epoch, second.changed) == (2, epoch, True)
    imported = await service.schemas.ImportSchemas(import_request({"web": REPLICAS}))
    assert (imported.revision, imported.epoch, imported.changed) == (3, epoch, True)
    gone = await deleted(service)
    assert (gone.revision, gone.epoch, gone.changed) == (4, epoch, True)


async def test_a_document_equal_to_the_newest_changes_nothing(service: Service) -> None:
    made = await created(service)
    same = await service.schemas.CreateSchemaVersion(version_request(REPLICAS))
    assert (same.changed, same.revision, same.schema_version.version) == (False, made.revision, 1)
    assert content(same.schema_version.document) == {**REPLICAS, "additionalProperties": False}
    imported = await service.schemas.ImportSchemas(import_request({"web": REPLICAS}, closing=0))
    assert (imported.changed, imported.revision) == (False, 0)
    assert await head(service) == made.revision


async def test_a_dry_run_tells_whether_it_would_change_something(service: Service) -> None:
    made = await created(service, validate_only=True)
    assert (made.changed, made.revision, made.schema.etag) == (True, 0, "")
    first = await created(service)
    new = await service.schemas.CreateSchemaVersion(version_request(AT_MOST_10, validate_only=True))
    assert (new.changed, new.revision, new.schema_version.version) == (True, 0, 2)
    same = await service.schemas.CreateSchemaVersion(version_request(REPLICAS, validate_only=True))
    assert (same.changed, same.revision) == (False, first.revision)
    gone = await deleted(service, validate_only=True)
    assert (gone.changed, gone.revision) == (True, 0)
    gone = await deleted(service, "none", validate_only=True, allow_missing=True)
    assert (gone.changed, gone.revision) == (False, 0)
    assert await schema_names(service) == ["web"]


async def test_a_repeated_call_gets_the_first_answer_whatever_came_between(service: Service) -> None:
    calls: list[Callable[[str], Any]] = [
        lambda one: created(service, request_id=one),
        lambda one: service.schemas.CreateSchemaVersion(version_request(REPLICAS, request_id=one)),
        lambda one: service.schemas.CreateSchemaVersion(version_request(AT_MOST_10, request_id=one)),
        lambda one: service.schemas.ImportSchemas(import_request({"web": AT_MOST_10}, closing=0, request_id=one)),
        lambda one: service.schemas.ImportSchemas(import_request({"web": {}, "new": {}}, request_id=one)),
        lambda one: deleted(service, "none", allow_missing=True, request_id=one),
        lambda one: deleted(service, "new", request_id=one),
    ]
    ids = [str(uuid.uuid4()) for _ in calls]
    first: list[Message] = [await call(one) for call, one in zip(calls, ids, strict=True)]
    await create_schema(service, "none")
    revision = await head(service)
    again: list[Message] = [await call(one) for call, one in zip(calls, ids, strict=True)]
    assert again == first
    assert [bool(getattr(answer, "changed")) for answer in first] == [True, False, True, False, True, False, True]  # noqa: B009
    assert await head(service) == revision


async def test_reads_answer_with_the_revision_that_they_show(service: Service) -> None:
    made = await created(service)
    await create_application(service)
    schema = await service.schemas.GetSchema(GetSchemaRequest(name="web"))
    version = await service.schemas.GetSchemaVersion(GetSchemaVersionRequest(name="web"))
    versions = await service.schemas.ListSchemaVersions(ListSchemaVersionsRequest(name="web"))
    listed = await service.schemas.ListSchemas(ListSchemasRequest())
    check = await service.schemas.CheckSchemaVersion(CheckSchemaVersionRequest(name="web", document=struct({})))
    answers = (schema, version, versions, listed, check)
    assert [answer.revision for answer in answers] == [2] * 5
    assert {answer.epoch for answer in answers} == {made.epoch}
    assert (schema.schema.revision, version.schema_version.revision) == (1, 1)


async def test_reads_take_a_revision_its_epoch_and_latest(service: Service) -> None:
    made = await created(service)
    schemas = service.schemas
    document = {"document": struct({})}
    reads: list[Callable[..., Any]] = [
        lambda **moment: schemas.GetSchema(GetSchemaRequest(name="web", **moment)),
        lambda **moment: schemas.GetSchemaVersion(GetSchemaVersionRequest(name="web", **moment)),
        lambda **moment: schemas.ListSchemas(ListSchemasRequest(**moment)),
        lambda **moment: schemas.ListSchemaVersions(ListSchemaVersionsRequest(name="web", **moment)),
        lambda **moment: schemas.CheckSchemaVersion(CheckSchemaVersionRequest(name="web", **document, **moment)),
    ]
    for read in reads:
        assert (await read(latest=True)).revision == 1
        assert (await read(min_revision=made.revision, epoch=made.epoch)).revision == 1
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
            await read(min_revision=2)
        with failing(StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED"):
            await read(min_revision=1, epoch="another")
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
            await read(latest=False)
        assert list(violations_of(caught.value)) == ["latest"]


async def test_a_list_of_schemas_shows_an_earlier_state(service: Service) -> None:
    first = await created(service)
    await create_version(service, AT_MOST_10)
    await create_schema(service, "api")
    await deleted(service)
    time: Timestamp = first.schema.create_time
    early = Timestamp(seconds=time.seconds - 1)
    assert await schema_names(service, as_of_revision=2) == ["web"]
    assert await schema_names(service, as_of_revision=3, page_size=1) == ["api", "web"]
    assert await schema_names(service) == ["api"]
    assert await schema_names(service, as_of_revision=0) == ["api"]
    listed = await service.schemas.ListSchemas(ListSchemasRequest(as_of_time=time))
    assert (list(listed.schemas), listed.revision) == ([first.schema], 1)
    assert await schema_names(service, as_of_time=early) == []
    late = Timestamp()
    late.FromDatetime(time.ToDatetime() + timedelta(days=1))
    for unknown in ({"as_of_time": late}, {"as_of_revision": 9}):
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
            await schema_names(service, **unknown)


async def test_the_change_request_of_a_call_is_in_the_history(service: Service) -> None:
    await created(service, change_request="CR-1")
    await create_version(service, AT_MOST_10, change_request="CR-2")
    await service.schemas.ImportSchemas(import_request({"web": {}}, change_request="CR-3"))
    await deleted(service, change_request="CR-4")
    changes = (await service.audit.ListChanges(ListChangesRequest())).changes
    assert [change.origin.change_request for change in changes] == ["CR-4", "CR-3", "CR-2", "CR-1"]


# Etags and expected versions


async def test_each_version_of_each_schema_has_another_etag_even_after_a_deletion(service: Service) -> None:
    seen = [(await created(service)).schema.etag, (await create_schema(service, "api")).etag]
    await create_version(service, AT_MOST_10)
    seen.append((await get_schema(service)).etag)
    await deleted(service)
    seen.append((await created(service)).schema.etag)
    assert len(set(seen)) == 4
    assert "" not in seen
    listed = await service.schemas.ListSchemas(ListSchemasRequest(name_prefix="web"))
    assert [schema.etag for schema in listed.schemas] == [(await get_schema(service)).etag] == [seen[-1]]


async def test_an_expected_etag_is_that_of_the_current_version(service: Service) -> None:
    old = (await created(service)).schema.etag
    await create_version(service, AT_MOST_10, expected_etag=old)
    for refuse in (
        lambda: create_version(service, REPLICAS, expected_etag=old),
        lambda: deleted(service, expected_etag=old),
    ):
        with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
            await refuse()
        assert error_info_of(caught.value).metadata["current_version"] == "2"
    current = (await get_schema(service)).etag
    assert (await deleted(service, expected_etag=current, expected_version=2)).changed


async def test_an_expected_version_is_checked_if_it_is_set(service: Service) -> None:
    await created(service)
    for wrong in (0, 2):
        with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
            await create_version(service, AT_MOST_10, expected_version=wrong)
        with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
            await deleted(service, expected_version=wrong)
    async with refused(service, "expected_version"):
        await deleted(service, expected_version=-1)
    assert (await create_version(service, AT_MOST_10, expected_version=1)).version == 2
    assert (await deleted(service, expected_version=2)).changed


async def test_a_missing_schema_is_deleted_without_a_change_if_that_is_allowed(service: Service) -> None:
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await deleted(service)
    gone = await deleted(service, allow_missing=True)
    assert (gone.changed, gone.revision) == (False, 0)
    assert gone.epoch
    await created(service)
    assert (await deleted(service, allow_missing=True)).changed


# Documents as Structs and as text


async def test_a_document_is_the_same_as_a_struct_and_as_text(service: Service) -> None:
    text = encode_json(REPLICAS)
    await service.schemas.CreateSchema(CreateSchemaRequest(name="web", document_json=text))
    same = await service.schemas.CreateSchemaVersion(version_request(REPLICAS))
    assert not same.changed
    request = CreateSchemaVersionRequest(name="web", document_json=encode_json(AT_MOST_10), format=CONTENT_FORMAT_JSON)
    new = await service.schemas.CreateSchemaVersion(request)
    assert new.schema_version.document_json == encode_json({**AT_MOST_10, "additionalProperties": False})
    as_struct = await get_version(service)
    as_text = await get_version(service, format=CONTENT_FORMAT_JSON)
    # The database orders members in its own way.
    assert json.loads(new.schema_version.document_json) == content(as_struct.document)
    assert json.loads(as_text.document_json) == content(as_struct.document)
    versions = await service.schemas.ListSchemaVersions(
        ListSchemaVersionsRequest(name="web", format=CONTENT_FORMAT_JSON)
    )
    assert versions.versions[0] == as_text
    check = CheckSchemaVersionRequest(name="web", document_json='{"type": "string"}')
    assert not (await service.schemas.CheckSchemaVersion(check)).backward_compatible


@pytest.mark.parametrize("text", ["[]", "{", '{"a":1,"a":2}', '{"maximum": 0.1234567890123456789}'])
async def test_a_text_that_is_no_document_is_refused_wherever_it_is(service: Service, text: str) -> None:
    await created(service)
    requests: list[Callable[[], Any]] = [
        lambda: service.schemas.CreateSchema(CreateSchemaRequest(name="new", document_json=text)),
        lambda: service.schemas.CreateSchemaVersion(CreateSchemaVersionRequest(name="web", document_json=text)),
        lambda: service.schemas.CheckSchemaVersion(CheckSchemaVersionRequest(name="web", document_json=text)),
        lambda: service.schemas.ImportSchemas(
            ImportSchemasRequest(schemas=[ImportedSchema(name="new", document_json=text)])
        ),
    ]
    for call in requests:
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
            await call()
        (field,) = violations_of(caught.value)
        assert field.removeprefix("schemas[0].").startswith("document_json")


async def test_a_document_is_required_in_one_form(service: Service) -> None:
    async with refused(service, "document"):
        await service.schemas.CreateSchema(CreateSchemaRequest(name="web"))


async def test_a_document_that_a_struct_cannot_hold_is_an_error_unless_json_is_asked_for(service: Service) -> None:
    text = f'{{"maximum":{LARGE}}}'
    await service.schemas.CreateSchema(CreateSchemaRequest(name="web", document_json=text))
    schemas = service.schemas
    reads: list[tuple[str, Callable[..., Any]]] = [
        ("web@1", lambda **form: schemas.GetSchemaVersion(GetSchemaVersionRequest(name="web", **form))),
        ("web@1", lambda **form: schemas.ListSchemaVersions(ListSchemaVersionsRequest(name="web", **form))),
        (
            "web",
            lambda **form: schemas.CreateSchemaVersion(
                CreateSchemaVersionRequest(name="web", document_json=text, **form)
            ),
        ),
    ]
    for name, read in reads:
        with failing(StatusCode.FAILED_PRECONDITION, "FORMAT_UNSUITABLE") as caught:
            await read()
        assert str(caught.value.details()).startswith(f"schema document {name} cannot be a google.protobuf.Struct")
        assert "format JSON" in str(caught.value.details())
        assert text in str(await read(format=CONTENT_FORMAT_JSON)).replace("\\", "")
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await read(format=9)
    basic = await schemas.ListSchemaVersions(ListSchemaVersionsRequest(name="web", view=SCHEMA_VIEW_BASIC))
    assert [version.version for version in basic.versions] == [1]


async def test_a_version_whose_answer_would_be_unsuitable_is_not_made(service: Service) -> None:
    await created(service)
    numbers = f'{{"default":[{",".join("1" * 400_000)}]}}'
    for text in (f'{{"maximum":{LARGE}}}', numbers):
        with failing(StatusCode.FAILED_PRECONDITION, "FORMAT_UNSUITABLE"):
            await service.schemas.CreateSchemaVersion(CreateSchemaVersionRequest(name="web", document_json=text))
        assert await head(service) == 1
    request = CreateSchemaVersionRequest(name="web", document_json=numbers, format=CONTENT_FORMAT_JSON)
    assert (await service.schemas.CreateSchemaVersion(request)).changed


# The size of answers


def open_objects(name: str, count: int) -> JsonObject:
    """Return a document with many objects to close, all under a property with this name."""
    return {"properties": {name: {"properties": {f"p{number}": OPEN for number in range(count)}}}}


# One that declares a property.
OPEN: JsonObject = {"properties": {"a": True}}


def bounded(answer: Message) -> None:
    assert answer.ByteSize() <= MAX_RESPONSE_BYTES


async def test_additions_of_answers_are_cut_and_counted(service: Service) -> None:
    document = open_objects("a", 150)
    made = await created(service, document)
    assert (len(made.additions), made.addition_count) == (100, 152)
    version = await get_version(service)
    assert (len(version.additions), version.addition_count) == (100, 152)
    new = await service.schemas.CreateSchemaVersion(version_request({**document, "title": "2"}))
    assert (len(new.schema_version.additions), new.schema_version.addition_count) == (100, 152)
    imported = await service.schemas.ImportSchemas(import_request({"other": document}, closing=0))
    assert (len(imported.imports[0].additions), imported.imports[0].addition_count) == (100, 152)
    check = CheckSchemaVersionRequest(name="web", document=struct(document))
    checked = await service.schemas.CheckSchemaVersion(check)
    assert (len(checked.additions), checked.addition_count) == (100, 152)


async def test_no_answer_exceeds_3_mib_however_long_its_pointers_are(service: Service, psql: Connection) -> None:
    name = "n" * 41_000
    document = open_objects(name, 120)
    made = await created(service, document)
    bounded(made)
    assert made.addition_count == 122
    # A third of an answer has 25 pointers of 41 KB.
    assert 20 < len(made.additions) < 100
    found = await service.schemas.GetSchemaVersion(GetSchemaVersionRequest(name="web"))
    bounded(found)
    assert found.schema_version.addition_count == 122
    changed: JsonObject = {**document, "title": "2"}
    bounded(await service.schemas.CreateSchemaVersion(version_request(changed, mode=SCHEMA_VERSION_MODE_PINNED)))
    bounded(await service.schemas.ListSchemaVersions(ListSchemaVersionsRequest(name="web")))
    many: dict[str, JsonObject] = {f"s{number}": open_objects(name, 30) for number in range(4)}
    imported = await service.schemas.ImportSchemas(import_request(many, closing=0))
    bounded(imported)
    assert {one.addition_count for one in imported.imports} == {32}
    assert sum(len(one.additions) for one in imported.imports) < 4 * 32


async def test_a_check_lists_what_fits_into_3_mib_and_counts_the_rest(service: Service, psql: Connection) -> None:
    name = "n" * 41_000
    await created(service, {"properties": {name: True}})
    await pin(psql, *(f"c{number:03}" for number in range(105)), config=encode_json({name: {"p1": 1, "p2": 2}}))
    null: JsonObject = {"type": "null"}
    strict: JsonObject = {"properties": {name: {"properties": {f"p{number}": null for number in range(110)}}}}
    checked = await service.schemas.CheckSchemaVersion(CheckSchemaVersionRequest(name="web", document=struct(strict)))
    bounded(checked)
    assert (checked.offender_count, checked.checked_count) == (105, 105)
    assert 0 < len(checked.offenders) < 100
    assert {(offender.fault_count, len(offender.faults)) for offender in checked.offenders} == {(2, 2)}
    assert (checked.incompatibility_count, checked.addition_count) == (100, 2)
    assert 0 < len(checked.incompatibilities) < 100


def test_the_document_that_closing_lengthens_most_fits_into_an_answer_as_text() -> None:
    document: JsonObject = {"prefixItems": [{"properties": {"": True}} for _ in range(40_000)]}
    text = encode_json(document)
    assert 900_000 < len(text) < MAX_DOCUMENT_BYTES
    after, additions = closed(document)
    assert len(additions) == 40_000
    message = document_message(after, "of web@1", as_text=True)
    assert message.ByteSize() <= MAX_RESPONSE_BYTES


async def test_imports_answer_with_an_outcome_for_each_schema(service: Service) -> None:
    imported = await service.schemas.ImportSchemas(import_request({f"s{number}": {} for number in range(1000)}))
    assert [one.outcome for one in imported.imports] == [SchemaImport.OUTCOME_CREATED] * 1000
    assert imported.changed
