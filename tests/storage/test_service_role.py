"""The service under its own database role, which owns nothing and has no more rights than it needs."""

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import asyncpg
import pytest
from google.longrunning.operations_proto_pb2 import DeleteOperationRequest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from pydantic import SecretStr

from configapi.v1.application_service_pb2 import DeleteApplicationRequest, ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import (
    DeleteConfigurationRequest,
    UndeleteConfigurationRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import SCHEMA_VERSION_MODE_PINNED, MigrateConfigurationsRequest
from configapi.v1.source_service_pb2 import (
    AcquireSourceLeaseRequest,
    ReleaseSourceLeaseRequest,
    ReleaseSourceRequest,
)
from configsvc.app.housekeeping import compact, purge_leases, purge_operations, purge_requests
from configsvc.limits.slots import connection_turn
from configsvc.process.startup import StartError, migrate_database, prepare_database
from configsvc.storage.database import open_database
from configsvc.storage.service_role import grants
from tests.api.calls import SHOP, content, create, create_application, get, key, names, patch
from tests.api.sources import apply, marks, source_of
from tests.configurations.reading import changes, export, versions
from tests.operations.operating import ended, imported, item, items_of, migration_result_of, result_of
from tests.postgres import plain_connection
from tests.schemas.calls import (
    AT_MOST_10,
    REPLICAS,
    check_version,
    create_schema,
    create_version,
    delete_schema,
    import_schemas,
)
from tests.service import Service, running_service, settings_of
from tests.storage.compacting import AT_ONCE, age, compacted_revision
from tests.storage.reading import Session
from tests.writes.batches import creation, deletion, upsert, write

LIMIT_SECONDS = 20.0


@pytest.fixture
async def role(psql: Session) -> AsyncGenerator[str]:
    """Create a role without any right."""
    # A name that has to be quoted.
    name = f'service "{uuid.uuid4().hex}'
    quoted = '"' + name.replace('"', '""') + '"'
    await psql.execute(f"CREATE ROLE {quoted} LOGIN")
    try:
        yield name
    finally:
        await psql.execute(f"DROP OWNED BY {quoted}")
        await psql.execute(f"DROP ROLE {quoted}")


def url_of(role: str, database_url: str) -> str:
    escaped = role.replace('"', "%22").replace(" ", "%20")
    return database_url.replace(f"//{urlsplit(database_url).username}@", f"//{escaped}@")


@pytest.fixture
async def service_url(psql: Session, role: str, database_url: str) -> str:
    """Return the URL of the service under the role, which has its rights."""
    await migrate_database(settings_of(service_role=role), database_url)
    return url_of(role, database_url)


async def test_the_service_does_all_of_its_work_under_a_role_that_owns_nothing(
    service_url: str, psql: Session, role: str
) -> None:
    async with running_service(service_url, service_role=role) as service:
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
        await _write_and_read(service)
        await _change_schemas(service)
        await _run_operations(service)
        await _apply_sources(service)
        revision = (
            await service.applications.DeleteApplication(
                DeleteApplicationRequest(name="shop", force=True, request_id=str(uuid.uuid4()))
            )
        ).revision
        async with asyncio.timeout(LIMIT_SECONDS):
            async for message in watch:
                if message.revision == revision:
                    break
        recorded = await changes(service)
    assert {change.origin.actor for change in recorded} == {"anonymous"}
    await age(psql, up_to=revision)
    async with open_database(service_url, turn=connection_turn) as database:
        await purge_requests(database)
        await purge_operations(database)
        await purge_leases(database)
        await compact(database, AT_ONCE)
    assert await compacted_revision(psql) > 0


async def _write_and_read(service: Service) -> None:
    await create_application(service, request_id=str(uuid.uuid4()))
    await create(service, "web", {"replicas": 1}, request_id=str(uuid.uuid4()))
    # As many as one group commit takes.
    await asyncio.gather(*(patch(service, "web", {f"p{number}": 1}) for number in range(8)))
    await write(service, creation("api"), upsert("web", {"replicas": 2}), request_id=str(uuid.uuid4()))
    await write(service, deletion("api"))
    await service.configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("web"), reason="a mistake"))
    await service.configurations.UndeleteConfiguration(UndeleteConfigurationRequest(key=key("web")))
    assert content((await get(service, "web")).config) == {"replicas": 2}
    assert await names(service, application=SHOP) == ["web"]
    assert len(await versions(service, key=key("web"))) > 3
    assert await export(service, application=SHOP)
    assert len((await service.applications.ListApplications(ListApplicationsRequest())).applications) == 1


async def _apply_sources(service: Service) -> None:
    for commit in ("c1", "c2"):
        source = await source_of(service, "shop")
        etag = source.etag if source else ""
        await apply(service, "shop", upsert("applied", {"c": commit}), commit=commit, adopt=True, expected_etag=etag)
    assert len(await marks(service, "shop")) == 1
    lease = AcquireSourceLeaseRequest(repository="repository", holder="agent", duration=Duration(seconds=5))
    assert (await service.sources.AcquireSourceLease(lease)).acquired
    released = ReleaseSourceLeaseRequest(repository="repository", holder="agent")
    assert (await service.sources.ReleaseSourceLease(released)).released
    assert (await service.sources.ReleaseSource(ReleaseSourceRequest(application=SHOP))).changed


async def _change_schemas(service: Service) -> None:
    await create_schema(service, "web", REPLICAS)
    await create(service, "pinned", {"replicas": 3}, schema=SchemaVersionRef(schema="web"))
    await check_version(service, AT_MOST_10)
    await create_version(service, AT_MOST_10, request_id=str(uuid.uuid4()))
    assert (await get(service, "pinned")).schema.version == 2
    await create_version(service, REPLICAS, mode=SCHEMA_VERSION_MODE_PINNED)
    await import_schemas(service, {"other": {"$ref": "configsvc://schemas/web@1"}})
    await delete_schema(service, "other")


async def _run_operations(service: Service) -> None:
    done = await imported(service, item("imported", {"replicas": 1}, schema="web"), item("free"))
    assert result_of(done).created_count == 2
    assert len(await items_of(service, done)) == 2
    request = MigrateConfigurationsRequest(schema="web", all_configurations=Empty())
    moved = await ended(service, await service.schemas.MigrateConfigurations(request))
    assert migration_result_of(moved).updated_count == 1
    await service.operations.DeleteOperation(DeleteOperationRequest(name=done.name))


FOREIGN = (
    "DROP TABLE configurations",
    "ALTER TABLE configurations DISABLE TRIGGER ALL",
    "TRUNCATE change_records",
    "UPDATE change_records SET actor = 'alice'",
    "INSERT INTO commits VALUES (1, 1, now())",
    "SELECT FROM commit_order FOR UPDATE",
    "DELETE FROM schema_versions",
    "CREATE TABLE own ()",
    "CREATE OR REPLACE FUNCTION writes_as_service() RETURNS boolean LANGUAGE sql RETURN true",
    "INSERT INTO _pogo_migration DEFAULT VALUES",
    "SELECT * FROM private.secrets",
    "COPY configurations TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "SET session_replication_role = replica",
)


async def test_the_role_may_do_nothing_else(service_url: str, psql: Session) -> None:
    await psql.execute("CREATE SCHEMA private; CREATE TABLE private.secrets ()")
    async with plain_connection(service_url) as session:
        for statement in FOREIGN:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute(statement)


async def test_rights_that_the_service_does_not_need_are_taken_away(
    service_url: str, psql: Session, role: str, database_url: str
) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    await psql.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {quoted}")
    await migrate_database(settings_of(service_role=role), database_url)
    async with plain_connection(service_url) as session:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute("UPDATE change_records SET actor = 'alice'")


async def test_every_table_is_granted_or_left_out_on_purpose(psql: Session) -> None:
    tables = await psql.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
    )
    named = set(re.findall(r"\w+", grants("service")))
    assert {row["relname"] for row in tables} <= named


async def test_a_role_without_the_right_is_refused_at_the_start(role: str, psql: Session, database_url: str) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    await psql.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}")
    url = url_of(role, database_url)
    with pytest.raises(
        StartError, match="lacks the rights of the service: run configsvc migrate with CONFIGSVC_SERVICE_ROLE"
    ):
        await prepare_database(settings_of(migrate=False), url)
    # Even with rights on all tables, it cannot write in the name of callers.
    async with plain_connection(url) as session:
        await session.execute("SET configsvc.writer = 'service'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="is for the service"):
            await session.execute("INSERT INTO applications (name, updated_by) VALUES ('shop', 'alice')")


async def test_migrations_run_under_the_role_of_their_own_url(role: str, database_url: str) -> None:
    settings = settings_of(service_role=role, migrate_database_url=SecretStr(database_url))
    await prepare_database(settings, url_of(role, database_url))


async def test_a_role_that_is_not_there_is_reported(database_url: str) -> None:
    with pytest.raises(
        StartError, match='cannot grant the rights of the service to nobody_here: role "nobody_here" does not exist'
    ):
        await migrate_database(settings_of(service_role="nobody_here"), database_url)
