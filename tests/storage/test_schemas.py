"""Schemas in SQL and in the log."""

import asyncpg
import pytest
from grpc import StatusCode

from tests.api.calls import Connection, create_application, failing
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    add_version,
    create_schema,
    create_version,
    delete_schema,
    get_schema,
    get_version,
    import_schemas,
    pin,
    schema_names,
    version_pages,
)
from tests.service import Service
from tests.storage.compacting import compact_once


@pytest.fixture
async def role(psql: Connection) -> str:
    """Return the role of a session of psql."""
    return await psql.fetchval("SELECT session_user")


async def test_a_schema_and_its_versions_can_be_made_in_sql(service: Service, psql: Connection, role: str) -> None:
    await psql.execute("INSERT INTO schemas (name) VALUES ('web')")
    for document in ('{"type": "object"}', '{"type": "object", "maxProperties": 3}'):
        await psql.execute("INSERT INTO schema_versions (schema, document) VALUES ('web', $1::jsonb)", document)
    schema = await get_schema(service)
    assert (schema.latest_version, schema.version, schema.revision) == (2, 3, 3)
    (page,) = await version_pages(service)
    assert [(version.version, version.created_by, version.revision) for version in page.versions] == [
        (2, f"database:{role}", 3),
        (1, f"database:{role}", 2),
    ]
    rows = await psql.fetch("SELECT operation, actor, schema_version FROM changes ORDER BY revision, ordinal")
    assert [tuple(row) for row in rows] == [
        ("CREATED", f"database:{role}", 0),
        ("UPDATED", f"database:{role}", 1),
        ("UPDATED", f"database:{role}", 2),
    ]
    assert (await create_version(service, AT_MOST_10)).version == 3


async def test_a_schema_without_a_version_is_answered(service: Service, psql: Connection) -> None:
    await psql.execute("INSERT INTO schemas (name) VALUES ('web')")
    assert (await get_schema(service)).latest_version == 0
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get_version(service)
    assert [list(page.versions) for page in await version_pages(service)] == [[]]
    assert (await create_version(service, REPLICAS)).version == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE schema_versions SET document = '{}'",
        "DELETE FROM schema_versions",
        "UPDATE schemas SET name = 'other', comments = 'renamed'",
        "UPDATE schemas SET name = 'other'",
        "INSERT INTO schema_versions (schema_id, schema, version, document) SELECT id, name, 7, '{}' FROM schemas",
        "TRUNCATE schemas CASCADE",
    ],
)
async def test_versions_and_names_never_change(service: Service, psql: Connection, statement: str) -> None:
    await create_schema(service)
    before = await get_version(service)
    with pytest.raises(asyncpg.PostgresError):
        await psql.execute(statement)
    assert await get_version(service) == before


async def test_changes_of_schemas_are_logged_with_actor_reason_and_request_id(
    service: Service, psql: Connection
) -> None:
    request_id = "01HZX0000000000000000000AB"
    await create_schema(service, reason="first", request_id=request_id)
    await add_version(service, AT_MOST_10, reason="less")
    await import_schemas(service, {"web": REPLICAS, "api": {}}, reason="all")
    await delete_schema(service, reason="enough")
    rows = await psql.fetch(
        """
        SELECT revision, operation, name, version, schema_version, actor, reason, request_id
        FROM changes
        WHERE kind = 'SCHEMA'
        ORDER BY revision, name
        """
    )
    assert [tuple(row) for row in rows] == [
        (1, "CREATED", "web", 1, 1, "anonymous", "first", request_id),
        (2, "UPDATED", "web", 2, 2, "anonymous", "less", ""),
        (3, "CREATED", "api", 1, 1, "anonymous", "all", ""),
        (3, "UPDATED", "web", 3, 3, "anonymous", "all", ""),
        (4, "DELETED", "web", 4, 3, "anonymous", "enough", ""),
    ]


async def test_compaction_keeps_schemas_and_all_of_their_versions(
    service: Service, psql: Connection, database_url: str
) -> None:
    await create_schema(service)
    await add_version(service, AT_MOST_10)
    await add_version(service, REPLICAS)
    await create_schema(service, "gone")
    await delete_schema(service, "gone")
    await pin(psql, "a", version=2)
    before = (await get_schema(service), await version_pages(service))
    await compact_once(database_url)
    records = await psql.fetch("SELECT name, version FROM change_records WHERE kind = 'SCHEMA'")
    assert [tuple(record) for record in records] == [("web", 3)]
    schema, pages = before
    assert await get_schema(service) == schema
    assert await version_pages(service) == pages
    assert [version.revision for version in pages[0].versions] == [3, 2, 1]
    assert await schema_names(service) == ["web"]
    assert (await create_version(service, AT_MOST_10)).version == 4


async def test_schemas_and_applications_of_one_name_are_apart(service: Service) -> None:
    await create_application(service, "web")
    await create_schema(service, "web")
    await delete_schema(service, "web")
    assert await schema_names(service) == []
    await create_schema(service, "web")
