"""JSON from before the rules for SQL: it stays readable, and can be changed."""

import uuid

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import GetConfigurationRequest
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON, CONTENT_FORMAT_STRUCT
from configsvc.domain.json_text import MAX_DIGITS
from tests.api.calls import create, create_application, get, key, patch, update
from tests.operations.operating import imported, item, items_of
from tests.schemas.calls import create_schema, get_schema, get_version, version_pages
from tests.service import Service
from tests.storage.reading import Session
from tests.writes.schemas import pin as pinned

LARGE = f"1{'0' * 5 * MAX_DIGITS}"
# As the service, for which the rules for SQL are not checked.
AS_SERVICE = "SET configsvc.writer = 'service'"


async def test_a_document_with_a_number_of_thousands_of_digits_is_read_listed_and_used(
    service: Service, psql: Session
) -> None:
    await create_application(service)
    await create_schema(service, "web")
    await psql.execute(AS_SERVICE)
    document = f'{{"properties": {{"a": {{"maximum": {LARGE}}}}}}}'
    await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('web', $1)", document)
    assert LARGE in (await get_version(service, "web", 2, format=CONTENT_FORMAT_JSON)).document_json
    assert (await get_schema(service, "web")).latest_version == 2
    assert [
        version.version
        for page in await version_pages(service, format=CONTENT_FORMAT_JSON)
        for version in page.versions
    ] == [2, 1]
    assert (await create(service, "api", config={"a": 1}, schema=pinned("web"))).schema.version == 2


@pytest.mark.parametrize("number", ["0.1234567890123456789012345", "1e-400"])
async def test_a_config_with_an_inexact_number_is_read_and_changed(
    service: Service, psql: Session, number: str
) -> None:
    await create_application(service)
    await create(service, "web", config={"a": 1})
    await psql.execute(AS_SERVICE)
    await psql.execute("UPDATE configurations SET config = $1", f'{{"a": {number}}}')
    await psql.execute("SET configsvc.writer = ''")
    assert (await get(service, "web", min_revision=3)).config["a"] == float(number)
    changed = Configuration(comments="still there")
    mask = FieldMask(paths=["comments"])
    assert (await update(service, "web", configuration=changed, update_mask=mask)).comments == "still there"
    await psql.execute("UPDATE configurations SET comments = 'and in SQL'")


async def test_a_number_that_sql_spelled_is_shown_so_until_the_service_writes_it(shop: Service, psql: Session) -> None:
    await create(shop, "web", config={"a": 1})
    await psql.execute("""UPDATE configurations SET config = '{"a": 1.0, "b": 1.50}'""")
    for form in (CONTENT_FORMAT_STRUCT, CONTENT_FORMAT_JSON):
        request = GetConfigurationRequest(key=key("web"), min_revision=3, format=form)
        shown = (await shop.configurations.GetConfiguration(request)).configuration
    assert shown.config_json == '{"a": 1.0, "b": 1.50}'
    patched = await patch(shop, "web", {"c": 2}, format=CONTENT_FORMAT_JSON)
    read = (await shop.configurations.GetConfiguration(request)).configuration
    assert patched.config_json == read.config_json == '{"a": 1, "b": 1.5, "c": 2}'


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("operation_items", "config", "'[1]'"),
        ("operation_items", "config", "'no JSON'"),
        ("operation_items", "before", "'1'"),
        ("operation_items", "faults", "'{}'"),
        ("operation_items", "faults", """'[["field", "keyword"]]'"""),
        ("operation_items", "faults", "'[[1, 2, 3]]'"),
        ("operation_items", "error", "'OTHER'"),
        ("operations", "failure", "'OTHER'"),
        ("operations", "settings", "'[]'"),
        ("operations", "origin", "'1'"),
        ("requests", "answers", "'{}'"),
        ("applications", "update_origin", "'[]', comments = 'changed'"),
        ("configurations", "update_origin", "'[]', comments = 'changed'"),
    ],
)
async def test_sql_writes_nothing_into_operations_and_origins_that_the_service_cannot_read(
    shop: Service, psql: Session, table: str, column: str, value: str
) -> None:
    request_id = str(uuid.uuid4())
    made = await imported(shop, item("web"), request_id=request_id)
    await psql.execute(AS_SERVICE)
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.InvalidTextRepresentationError)):
        await psql.execute(f"UPDATE {table} SET {column} = {value}")
    assert len(await items_of(shop, made)) == 1
