import asyncio
import json
import uuid

import pytest
from grpc import StatusCode

from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.schema_pb2 import CLOSING_AS_WRITTEN
from configapi.v1.schema_service_pb2 import (
    SCHEMA_VERSION_MODE_PINNED,
    ImportedSchema,
    ImportSchemasRequest,
    ImportSchemasResponse,
    SchemaImport,
)
from configsvc.domain.content import JsonObject, JsonValue
from demo.files import CORPUS
from tests.api.calls import Connection, content, failing, get, head, refused
from tests.domain.contents import exact
from tests.domain.jsonschema.corpus import needs_corpus
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    add_version,
    calls_of,
    create_schema,
    delete_schema,
    get_schema,
    get_version,
    import_request,
    import_schemas,
    pin,
    schema_names,
    subjects_of,
)
from tests.service import Service, violations_of

CREATED = SchemaImport.OUTCOME_CREATED
VERSION_CREATED = SchemaImport.OUTCOME_VERSION_CREATED
UNCHANGED = SchemaImport.OUTCOME_UNCHANGED


def outcomes(response: ImportSchemasResponse) -> list[tuple[str, SchemaImport.Outcome.ValueType, int]]:
    return [(one.name, one.outcome, one.version) for one in response.imports]


async def test_an_import_creates_what_is_new_in_one_commit_and_nothing_a_second_time(service: Service) -> None:
    await create_schema(service, "web", closing=CLOSING_AS_WRITTEN)
    await create_schema(service, "api", closing=CLOSING_AS_WRITTEN)
    documents = {"web": AT_MOST_10, "api": REPLICAS, "new": REPLICAS}
    done = await import_schemas(service, documents, reason="all at once")
    assert outcomes(done) == [("web", VERSION_CREATED, 2), ("api", UNCHANGED, 1), ("new", CREATED, 1)]
    assert done.revision == 3
    again = await import_schemas(service, documents, reason="all at once")
    assert outcomes(again) == [("web", UNCHANGED, 2), ("api", UNCHANGED, 1), ("new", UNCHANGED, 1)]
    assert again.revision == 0
    assert await head(service) == 3
    assert (await get_version(service, "web")).revision == (await get_version(service, "new")).revision == 3


async def test_an_import_closes_documents_unless_asked_otherwise(service: Service) -> None:
    done = await service.schemas.ImportSchemas(import_request({"web": REPLICAS}, closing=0))
    assert [(addition.pointer, addition.keyword) for addition in done.imports[0].additions] == [
        ("", "additionalProperties")
    ]
    assert content((await get_version(service)).document) == {**REPLICAS, "additionalProperties": False}


async def test_imported_schemas_may_refer_to_one_another_in_any_order(service: Service) -> None:
    await create_schema(service, "base", {"type": "integer"})
    documents: dict[str, JsonObject] = {
        "web": {"properties": {"api": {"$ref": "configsvc://schemas/api@1"}}},
        "api": {"properties": {"port": {"$ref": "configsvc://schemas/base@2"}}},
        "base": {"type": "integer", "maximum": 65535},
    }
    done = await import_schemas(service, documents)
    assert outcomes(done) == [("web", CREATED, 1), ("api", CREATED, 1), ("base", VERSION_CREATED, 2)]
    assert outcomes(await import_schemas(service, documents)) == [(name, UNCHANGED, v) for name, _, v in outcomes(done)]
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_IN_USE"):
        await delete_schema(service, "base")


async def test_imported_schemas_that_refer_to_one_another_in_a_circle_are_refused(service: Service) -> None:
    async with refused(service, "schemas[0].document/$ref"):
        await import_schemas(service, {"a": {"$ref": "configsvc://schemas/a@1"}})
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await import_schemas(
            service,
            {
                "a": {"not": {"$ref": "configsvc://schemas/b@1"}},
                "b": {"not": {"$ref": "configsvc://schemas/a@1"}},
            },
        )
    (fault,) = violations_of(caught.value).values()
    assert fault.startswith("creates a cycle of references")


async def test_all_faults_of_all_imported_documents_are_listed_and_nothing_is_done(service: Service) -> None:
    async with refused(
        service,
        "schemas[1].document/type",
        "schemas[2].name",
        "schemas[3].document_json",
        "schemas[4].document",
        "schemas[5].name",
        "schemas[6].document/minimum",
        "schemas[6].document/maximum",
    ):
        await service.schemas.ImportSchemas(
            ImportSchemasRequest(
                schemas=[
                    *import_request({"good": {}, "bad": {"type": "objekt"}, "": {}}).schemas,
                    ImportedSchema(name="text", document_json="{"),
                    ImportedSchema(name="none"),
                    *import_request({"good": {}, "worse": {"minimum": "1", "maximum": []}}).schemas,
                ]
            )
        )
    async with refused(service, "schemas"):
        await import_schemas(service, {})
    async with refused(service, "schemas[0].document/$ref", "schemas[2].document/not/$ref"):
        await import_schemas(
            service,
            {
                "a": {"$ref": "configsvc://schemas/nothing@1"},
                "b": {},
                "c": {"not": {"$ref": "configsvc://schemas/b@2"}},
            },
        )


async def test_numbers_of_a_json_text_are_kept_as_they_are(service: Service) -> None:
    text = '{"maximum":18446744073709551615,"minimum":-1e30,"multipleOf":0.01}'
    request = ImportSchemasRequest(schemas=[ImportedSchema(name="web", document_json=text)])
    assert outcomes(await service.schemas.ImportSchemas(request)) == [("web", CREATED, 1)]
    version = await get_version(service, format=CONTENT_FORMAT_JSON)
    assert json.loads(version.document_json) == {
        "maximum": 18446744073709551615,
        "minimum": -(10**30),
        "multipleOf": 0.01,
    }
    assert outcomes(await service.schemas.ImportSchemas(request)) == [("web", UNCHANGED, 1)]


async def test_an_import_moves_pinned_configurations_or_is_refused_by_them(service: Service, psql: Connection) -> None:
    for name in ("web", "api"):
        await create_schema(service, name)
    await pin(psql, "good", config='{"replicas": 3}')
    await pin(psql, "bad", config='{"replicas": 30}', schema="api")
    before = await head(service)
    documents = {"web": AT_MOST_10, "api": AT_MOST_10, "new": REPLICAS}
    with failing(StatusCode.FAILED_PRECONDITION, "SCHEMA_VERSION_REFUSED") as caught:
        await import_schemas(service, documents)
    assert subjects_of(caught) == ["shop:bad"]
    assert await head(service) == before
    await psql.execute("DELETE FROM configurations WHERE name = 'bad'")
    done = await import_schemas(service, documents, reason="stricter")
    moved = await get(service, "good")
    assert (moved.schema.version, moved.revision, moved.version) == (2, done.revision, 2)
    await import_schemas(service, {"web": REPLICAS}, mode=SCHEMA_VERSION_MODE_PINNED)
    assert (await get(service, "good")).schema.version == 2
    assert (await get_schema(service)).latest_version == 3


async def test_validate_only_answers_as_if_schemas_were_imported_and_keeps_nothing(service: Service) -> None:
    await create_schema(service, "web", closing=CLOSING_AS_WRITTEN)
    done = await import_schemas(service, {"web": AT_MOST_10, "api": {}}, validate_only=True)
    assert outcomes(done) == [("web", VERSION_CREATED, 2), ("api", CREATED, 1)]
    assert done.revision == 0
    assert await schema_names(service) == ["web"]


async def test_an_import_is_answered_again(service: Service) -> None:
    await create_schema(service, "web", closing=CLOSING_AS_WRITTEN)
    documents = {"web": AT_MOST_10, "api": {}}
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    done = await import_schemas(service, documents, request_id=first)
    nothing = await import_schemas(service, documents, request_id=second)
    await add_version(service, REPLICAS, "web")
    await delete_schema(service, "api")
    assert await import_schemas(service, documents, request_id=first) == done
    assert await import_schemas(service, documents, request_id=second) == nothing
    assert outcomes(nothing) == [("web", UNCHANGED, 2), ("api", UNCHANGED, 1)]
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await import_schemas(service, {"web": AT_MOST_10}, request_id=first)


async def test_of_equal_imports_at_once_one_does_the_work(service: Service) -> None:
    documents: dict[str, JsonObject] = {f"schema-{number}": {"maximum": number} for number in range(20)}
    done = await asyncio.gather(*(import_schemas(service, documents) for _ in range(3)), return_exceptions=True)
    answers = [one for one in done if isinstance(one, ImportSchemasResponse)]
    # One that read before the other's commit is told to try again.
    assert answers
    assert max(answer.revision for answer in answers) == 1
    assert await head(service) == 1


@needs_corpus
@pytest.mark.timeout(240)
async def test_all_schemas_of_the_corpus_are_imported_as_written_and_unchanged_a_second_time(service: Service) -> None:
    requests = list(calls_of(CORPUS))
    texts = {path.parent.name: path.read_text(encoding="utf-8") for path in CORPUS.glob("*/schema.json")}
    assert len(texts) == 283
    first = [await service.schemas.ImportSchemas(request) for request in requests]
    assert {one.outcome for response in first for one in response.imports} == {CREATED}
    assert sorted(await schema_names(service, page_size=1000)) == sorted(texts)
    again = [await service.schemas.ImportSchemas(request) for request in requests]
    assert {one.outcome for response in again for one in response.imports} == {UNCHANGED}
    assert await head(service) == len(requests)
    unsuitable = 0
    for name, text in texts.items():
        version = await get_version(service, name, format=CONTENT_FORMAT_JSON)
        assert exact(version.document_json) == exact(text)
        if _fits_struct(json.loads(text)):
            as_struct = await get_version(service, name)
            assert content(as_struct.document) == json.loads(text)
            version.document.CopyFrom(as_struct.document)
            assert version == as_struct
        else:
            unsuitable += 1
            with failing(StatusCode.FAILED_PRECONDITION, "FORMAT_UNSUITABLE"):
                await get_version(service, name)
    assert 0 < unsuitable < len(texts)


def _fits_struct(value: JsonValue) -> bool:
    """Return whether a double holds every number."""
    if isinstance(value, dict):
        return all(map(_fits_struct, value.values()))
    if isinstance(value, list):
        return all(map(_fits_struct, value))
    return not isinstance(value, int) or abs(value) < 2**53
