import asyncio
import uuid
from itertools import pairwise
from typing import Any

from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode

from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN, SCHEMA_VIEW_BASIC
from configapi.v1.schema_service_pb2 import (
    CreateSchemaRequest,
    GetSchemaRequest,
    GetSchemaVersionRequest,
    ListSchemasRequest,
    ListSchemaVersionsRequest,
)
from configsvc.domain.content import JsonObject
from tests.api.calls import Connection, content, failing, head, refused
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    add_version,
    create_schema,
    create_version,
    delete_schema,
    get_schema,
    get_version,
    pin,
    schema_names,
    schema_pages,
    subjects_of,
    version_pages,
)
from tests.service import Service, struct, violations_of


def new_id() -> str:
    return str(uuid.uuid4())


async def test_a_schema_is_created_with_its_first_version_and_read_by_name_and_id(service: Service) -> None:
    created = await create_schema(service, comments="of the web", reason="first")
    assert (created.name, created.comments, created.latest_version, created.version) == ("web", "of the web", 1, 1)
    assert created.revision == 1
    version = await get_version(service)
    assert await get_schema(service) == created
    assert (await service.schemas.GetSchema(GetSchemaRequest(id=created.id))).schema == created
    found = await service.schemas.GetSchemaVersion(GetSchemaVersionRequest(id=created.id))
    assert found.schema_version == version
    assert content(version.document) == {**REPLICAS, "additionalProperties": False}
    assert (version.schema, version.version, version.revision, version.created_by) == ("web", 1, 1, "anonymous")
    assert version.create_time == created.create_time
    assert [(addition.pointer, addition.keyword) for addition in version.additions] == [("", "additionalProperties")]


async def test_a_document_stays_as_it_is_written_if_asked_for(service: Service) -> None:
    await create_schema(service, closing=CLOSING_AS_WRITTEN)
    assert list((await get_version(service)).additions) == []
    assert content((await get_version(service)).document) == REPLICAS


async def test_the_name_of_another_schema_is_refused(service: Service) -> None:
    await create_schema(service)
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await create_schema(service, document={})


async def test_of_schemas_that_are_created_at_once_with_one_name_one_is_made(service: Service) -> None:
    outcomes = await asyncio.gather(*(create_schema(service) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert await head(service) == 1


async def test_what_does_not_exist_is_not_found(service: Service) -> None:
    await create_schema(service)
    for call in (
        get_schema(service, "other"),
        get_version(service, "other"),
        get_version(service, version=2),
        version_pages(service, "other"),
        create_version(service, {}, "other"),
        delete_schema(service, "other"),
    ):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await call


async def test_every_fault_of_a_document_is_listed_with_its_pointer(service: Service) -> None:
    document: JsonObject = {
        "type": "objekt",
        "properties": {"a": {"minimum": "0"}, "b/c": {"pattern": "("}, "d": {"$ref": "#/nowhere"}},
    }
    async with refused(
        service,
        "name",
        "document/type",
        "document/properties/a/minimum",
        "document/properties/b~1c/pattern",
        "document/properties/d/$ref",
    ):
        await create_schema(service, "no name", document)


async def test_a_request_that_makes_no_sense_is_refused(service: Service) -> None:
    async with refused(service, "name", "document", "closing", "request_id"):
        await service.schemas.CreateSchema(CreateSchemaRequest(closing=7, request_id="x"))  # pyright: ignore[reportArgumentType]
    async with refused(service, "ref", "version", "min_revision"):
        await service.schemas.GetSchemaVersion(GetSchemaVersionRequest(version=-1, min_revision=-1))
    async with refused(service, "name", "mode", "expected_version"):
        await create_version(service, {}, "", mode=9, expected_version=-1)


async def test_a_number_that_a_struct_cannot_hold_is_refused(service: Service) -> None:
    async with refused(service, "document/maximum"):
        await create_schema(service, document={"maximum": 2.0**53})


async def test_a_document_of_up_to_1_mib_is_kept(service: Service) -> None:
    room = 1024 * 1024 - len('{"description":""}')
    await create_schema(service, document={"description": "x" * room})
    assert content((await get_version(service)).document) == {"description": "x" * room}
    async with refused(service, "document"):
        await create_schema(service, "larger", {"description": "x" * (room + 1)})


async def test_a_document_may_have_32_levels(service: Service) -> None:
    def nested(levels: int) -> JsonObject:
        return {"not": nested(levels - 1)} if levels > 1 else {}

    await create_schema(service, document=nested(32))
    assert content((await get_version(service)).document) == nested(32)


async def test_a_document_whose_struct_would_be_too_large_to_answer_is_answered_as_text_only(
    service: Service, psql: Connection
) -> None:
    await psql.execute("INSERT INTO schemas (name) VALUES ('web')")
    await psql.execute(
        """
        INSERT INTO schema_versions (schema, document)
        SELECT 'web', jsonb_build_object('enum', jsonb_agg(number)) FROM generate_series(1, 300000) AS number
        """
    )
    with failing(StatusCode.FAILED_PRECONDITION, "FORMAT_UNSUITABLE"):
        await get_version(service)
    version = await get_version(service, format=CONTENT_FORMAT_JSON)
    assert version.document_json.startswith('{"enum":[1,2,3,')


async def test_reads_of_schemas_take_min_revision(service: Service) -> None:
    revision = (await create_schema(service)).revision
    reads: list[Any] = [get_schema, get_version, version_pages]
    for read in reads:
        await read(service, min_revision=revision)
        with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
            await read(service, min_revision=revision + 1)
    assert await schema_names(service, min_revision=revision) == ["web"]
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await schema_names(service, min_revision=revision + 1)


async def test_schemas_are_listed_by_name_in_pages_of_one_revision(service: Service) -> None:
    for name in ("web", "api", "db-a", "db-b"):
        await create_schema(service, name)
    first = await service.schemas.ListSchemas(ListSchemasRequest(page_size=2))
    await create_schema(service, "later")
    await create_version(service, AT_MOST_10, "web")
    await delete_schema(service, "db-b")
    request = ListSchemasRequest(page_size=1, page_token=first.next_page_token)
    second = await service.schemas.ListSchemas(request)
    request.page_token = second.next_page_token
    third = await service.schemas.ListSchemas(request)
    shown = [*first.schemas, *second.schemas, *third.schemas]
    assert [(schema.name, schema.latest_version) for schema in shown] == [
        ("api", 1),
        ("db-a", 1),
        ("db-b", 1),
        ("web", 1),
    ]
    assert (third.next_page_token, {first.revision, second.revision, third.revision}) == ("", {4})
    assert await schema_names(service, name_prefix="db") == ["db-a"]
    assert await schema_names(service) == ["api", "db-a", "later", "web"]


async def test_a_page_token_of_another_request_for_schemas_is_refused(service: Service) -> None:
    for name in ("a", "b"):
        await create_schema(service, name)
        await add_version(service, AT_MOST_10, name)
    (schemas, _) = await schema_pages(service, page_size=1)
    (versions, _) = await version_pages(service, "a", page_size=1)
    async with refused(service, "page_token"):
        await service.schemas.ListSchemas(ListSchemasRequest(name_prefix="a", page_token=schemas.next_page_token))
    async with refused(service, "page_token"):
        await service.schemas.ListSchemaVersions(
            ListSchemaVersionsRequest(name="b", page_token=versions.next_page_token)
        )


async def test_versions_are_listed_newest_first_and_stay_on_their_page(service: Service) -> None:
    await create_schema(service)
    for maximum in range(2, 6):
        await add_version(service, {"properties": {"replicas": {"maximum": maximum}}})
    first = await service.schemas.ListSchemaVersions(ListSchemaVersionsRequest(name="web", page_size=2))
    await add_version(service, {"properties": {"replicas": {"maximum": 99}}})
    rest = await service.schemas.ListSchemaVersions(
        ListSchemaVersionsRequest(name="web", page_size=1000, page_token=first.next_page_token)
    )
    shown = [*first.versions, *rest.versions]
    assert [version.version for version in shown] == [5, 4, 3, 2, 1]
    assert [version.revision for version in shown] == [5, 4, 3, 2, 1]
    assert [content(version.document)["properties"]["replicas"].get("maximum") for version in shown] == [
        5,
        4,
        3,
        2,
        None,
    ]
    (basic,) = await version_pages(service, view=SCHEMA_VIEW_BASIC)
    assert [version.version for version in basic.versions] == [6, 5, 4, 3, 2, 1]
    assert not any(version.HasField("document") or version.additions for version in basic.versions)


async def test_a_page_of_versions_ends_before_it_grows_over_3_mib(service: Service) -> None:
    await create_schema(service)
    for letter in "abcdef":
        await add_version(service, {"description": letter * 1_000_000})
    pages = await version_pages(service)
    assert [version.version for page in pages for version in page.versions] == [7, 6, 5, 4, 3, 2, 1]
    assert len(pages) > 1
    assert all(page.ByteSize() < 3.5 * 1024 * 1024 for page in pages)


async def test_a_list_of_versions_does_not_go_on_in_another_schema_of_the_same_name(service: Service) -> None:
    await create_schema(service)
    await add_version(service, AT_MOST_10)
    first = await service.schemas.ListSchemaVersions(ListSchemaVersionsRequest(name="web", page_size=1))
    await delete_schema(service)
    await create_schema(service)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await service.schemas.ListSchemaVersions(
            ListSchemaVersionsRequest(name="web", page_token=first.next_page_token)
        )


async def test_a_schema_is_deleted_with_its_versions(service: Service) -> None:
    created = await create_schema(service)
    await add_version(service, AT_MOST_10)
    assert await delete_schema(service, expected_version=2) == 3
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get_schema(service)
    again = await create_schema(service)
    assert (again.version, again.latest_version) == (1, 1)
    assert again.id != created.id


async def test_a_schema_of_another_version_than_expected_is_left_alone(service: Service) -> None:
    await create_schema(service)
    for call in (
        create_version(service, AT_MOST_10, expected_version=2),
        add_version(service, AT_MOST_10, expected_version=2),
        delete_schema(service, expected_version=2),
    ):
        with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
            await call
    assert await head(service) == 1


async def test_a_schema_in_use_is_not_deleted(service: Service, psql: Connection) -> None:
    await create_schema(service)
    await add_version(service, {"$ref": "configsvc://schemas/web@1"})
    await create_schema(service, "api", {"properties": {"web": {"$ref": "configsvc://schemas/web@2"}}})
    await pin(psql, "a", "b")
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_IN_USE") as caught:
        await delete_schema(service)
    assert subjects_of(caught) == ["configuration shop:a", "configuration shop:b", "schema api@1"]
    await psql.execute("DELETE FROM configurations")
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_IN_USE") as caught:
        await delete_schema(service)
    assert subjects_of(caught) == ["schema api@1"]
    await delete_schema(service, "api")
    await delete_schema(service)
    assert await schema_names(service) == []


async def test_a_reference_leads_to_a_stored_version_or_is_a_fault(service: Service) -> None:
    await create_schema(service, "base", {"$defs": {"port": {"type": "integer"}}})
    async with refused(service, "document/$ref"):
        await create_schema(service, document={"$ref": "https://example.org/schema.json"})
    document: JsonObject = {
        "properties": {
            "a": {"$ref": "configsvc://schemas/base@1#/$defs/port"},
            "b": {"$ref": "configsvc://schemas/base@2"},
            "c": {"$ref": "configsvc://schemas/other@1"},
        }
    }
    async with refused(service, "document/properties/b/$ref", "document/properties/c/$ref"):
        await create_schema(service, document=document)
    async with refused(service, "document/properties/a/$ref"):
        await create_schema(
            service, document={"properties": {"a": {"$ref": "configsvc://schemas/base@1#/$defs/nothing"}}}
        )
    await create_schema(service, document={"properties": {"a": {"$ref": "configsvc://schemas/base@1#/$defs/port"}}})


async def test_validate_only_answers_as_if_a_schema_was_made_and_keeps_nothing(service: Service) -> None:
    would_be = await create_schema(service, validate_only=True)
    assert (would_be.name, would_be.latest_version, would_be.version, would_be.revision) == ("web", 1, 1, 0)
    assert await schema_names(service) == []
    await create_schema(service)
    version = await create_version(service, AT_MOST_10, validate_only=True)
    assert (version.version, version.revision) == (2, 0)
    assert await delete_schema(service, validate_only=True) == 0
    assert (await get_schema(service)).latest_version == 1
    assert await head(service) == 1


async def test_calls_about_schemas_are_answered_again(service: Service) -> None:
    creating, adding, equal, deleting = (new_id() for _ in range(4))
    created = await create_schema(service, request_id=creating)
    added = await create_version(service, AT_MOST_10, request_id=adding)
    same = await create_version(service, AT_MOST_10, request_id=equal)
    assert same == added
    await create_version(service, REPLICAS)
    for _ in range(2):
        assert await create_schema(service, request_id=creating) == created
        assert await create_version(service, AT_MOST_10, request_id=adding) == added
        assert await create_version(service, AT_MOST_10, request_id=equal) == added
        deleted = await delete_schema(service, request_id=deleting)
        assert deleted == 4
    assert await head(service) == 4


async def test_a_request_id_with_another_request_about_schemas_is_refused(service: Service) -> None:
    request_id = new_id()
    await create_schema(service, request_id=request_id)
    for other in (
        create_schema(service, "other", request_id=request_id),
        create_version(service, AT_MOST_10, request_id=request_id),
        delete_schema(service, request_id=request_id),
    ):
        with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
            await other


async def test_of_equal_creations_of_versions_at_once_one_does_the_work(service: Service) -> None:
    await create_schema(service)
    request_id = new_id()
    answers = await asyncio.gather(*(create_version(service, AT_MOST_10, request_id=request_id) for _ in range(4)))
    assert all(left == right for left, right in pairwise(answers))
    assert await head(service) == 2


async def test_a_document_that_is_no_object_of_known_kinds_is_refused(service: Service) -> None:
    document = Struct()
    document.fields["title"].SetInParent()
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await service.schemas.CreateSchema(CreateSchemaRequest(name="web", document=document))
    assert list(violations_of(caught.value)) == ["document/title"]
    assert struct({}) == Struct()
