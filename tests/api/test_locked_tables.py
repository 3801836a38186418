"""Calls while somebody has locked a whole table, as ALTER TABLE and VACUUM FULL do: every one can be tried again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckResponse

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.client import ConfigClient
from configsvc.storage import database as connections
from configsvc.storage import listener
from tests.access.people import ROOT, Target, make
from tests.access.rpcs import REQUESTS, Named
from tests.api.calls import SHOP, create, create_application
from tests.api.test_permissions import METHODS, call
from tests.client.clients import address_of
from tests.doors.marks import grpc_only
from tests.operations.operating import imported, item, result_of
from tests.postgres import plain_connection
from tests.rpc.handshakes import next_message
from tests.service import LIMIT_SECONDS, Door, Service, reason_of, running_service, status_of, struct, wait_for_health
from tests.storage.reading import Session, until_waiting

# Whatever the start and migrations alone read.
LEFT_OUT = {"function_digest", "_pogo_migration", "_pogo_version", "pgqueuer_schedules", "pgqueuer_statistics"}
TABLES = (
    "application_sources",
    "applications",
    "applied_configurations",
    "change_records",
    "commit_order",
    "commits",
    "compaction",
    "configurations",
    "log_identity",
    "operation_items",
    "operations",
    "pgqueuer",
    "pgqueuer_log",
    "requests",
    "role_bindings",
    "schema_references",
    "schema_versions",
    "schemas",
    "source_leases",
)
AT_ONCE = 4
# The doors differ in their form of an error, and a table in what it lets the storage raise: these raise all of it.
TABLES_OF_BOTH_DOORS = {"commits", "configurations", "operations"}


async def test_every_table_is_locked_in_turn(psql: Session) -> None:
    rows = await psql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in rows} - LEFT_OUT == set(TABLES)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the service wait for locks for a fraction of a second."""
    shorter = {"lock_timeout": "200ms", "statement_timeout": "1s"}
    for name in ("READ_SETTINGS", "WRITE_SETTINGS", "MERGE_SETTINGS"):
        settings: dict[str, str] = getattr(connections, name)
        # Only what it has set: without a time limit for locks, the one for statements would end the wait.
        changed = {setting: value for setting, value in shorter.items() if setting in settings}
        monkeypatch.setattr(connections, name, settings | changed)
    monkeypatch.setattr(listener, "READ_SETTINGS", connections.READ_SETTINGS)


@asynccontextmanager
async def locked(database_url: str, table: str) -> AsyncGenerator[None]:
    """Lock the table against everybody else."""
    async with plain_connection(database_url) as session, session.transaction():
        await session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def requests_of(method: MethodDescriptor, target: Target) -> list[Message]:
    """Return the method's request by id and by name, dry and, unless it deletes, for real."""
    requests: list[Message] = [REQUESTS[method.name](Named(target=target, by_id=by_id)) for by_id in (False, True)]
    if "validate_only" in requests[0].DESCRIPTOR.fields_by_name and not method.name.startswith("Delete"):
        real = type(requests[0])()
        real.CopyFrom(requests[0])
        real.ClearField("validate_only")
        requests.append(real)
    return requests


def check(outcome: StatusCode | grpc.aio.AioRpcError, case: str) -> None:
    """Check that the call was done, or can be tried again."""
    if not isinstance(outcome, grpc.aio.AioRpcError):
        return
    # Another call of the test may have created the resource, or the source, and a running operation cannot be deleted.
    if outcome.code() is StatusCode.ALREADY_EXISTS or reason_of(outcome) in {"OPERATION_RUNNING", "VERSION_MISMATCH"}:
        return
    assert outcome.code() in {StatusCode.UNAVAILABLE, StatusCode.ABORTED}, (case, outcome)
    assert any(detail.Unpack(RetryInfo()) for detail in status_of(outcome).details), (case, outcome)


async def try_every_method(service: Service, target: Target, case: str) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def attempt(method: MethodDescriptor, request: Message) -> None:
        async with turns, asyncio.timeout(LIMIT_SECONDS):
            check(await call(service, method, request, ROOT), f"{case}: {method.name}")

    async with asyncio.TaskGroup() as tasks:
        for method in METHODS:
            # It may stay open and silent: see below.
            if method.name == "WatchConfigurations":
                continue
            for request in requests_of(method, target):
                tasks.create_task(attempt(method, request))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "table",
    [
        table
        if table in TABLES_OF_BOTH_DOORS
        else pytest.param(table, marks=grpc_only("the door takes no part in what a locked table raises"))
        for table in TABLES
    ],
)
async def test_every_call_can_be_tried_again_while_a_table_is_locked(
    psql: Session, database_url: str, door: Door, table: str
) -> None:
    async with running_service(database_url, door=door) as service:
        await service.schemas.CreateSchema(CreateSchemaRequest(name="schema", document=struct({"type": "object"})))
        target = await make(service, psql, "shop", ROOT)
        async with locked(database_url, table):
            await try_every_method(service, target, f"{table} is locked")
        await check_that_it_goes_on(service)


async def check_that_it_goes_on(service: Service) -> None:
    await wait_for_health(service, HealthCheckResponse.SERVING)
    async with asyncio.timeout(LIMIT_SECONDS):
        await create_application(service, "later")
        async with ConfigClient(address_of(service), application="later") as configs:
            changes = configs.changes()
            operation = await imported(service, item("web", application="later"))
            assert result_of(operation).created_count == 1
            assert (await anext(changes)).name == "web"


async def until_nobody_waits(session: Session) -> None:
    while await session.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  # it can only be asked
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("impatient")
async def test_a_snapshot_waits_for_a_table_that_is_locked(psql: Session, database_url: str, door: Door) -> None:
    async with running_service(database_url, door=door) as service:
        await create_application(service, "shop")
        await create(service, "web")
        request = WatchConfigurationsRequest(selectors=[ConfigurationSelector(application=SHOP)])
        async with locked(database_url, "configurations"):
            watch = service.configurations.WatchConfigurations(request)
            reading = asyncio.ensure_future(next_message(watch))
            async with asyncio.timeout(LIMIT_SECONDS):
                for _ in range(2):
                    await until_waiting(psql)
                    await until_nobody_waits(psql)
            assert not reading.done()
        async with asyncio.timeout(LIMIT_SECONDS):
            message = await reading
        assert [event.configuration.name for event in message.events] == ["web"]
        watch.cancel()


@pytest.mark.usefixtures("impatient")
async def test_a_page_without_a_filter_is_never_refused_for_its_filter(
    database_url: str, door: Door, psql: Session
) -> None:
    async with running_service(database_url, door=door) as service:
        target = await make(service, psql, "shop", ROOT)
        method = next(method for method in METHODS if method.name == "ListConfigurations")
        async with locked(database_url, "configurations"):
            outcome = await call(service, method, REQUESTS[method.name](Named(target=target, by_id=True)), ROOT)
        assert isinstance(outcome, grpc.aio.AioRpcError)
        assert outcome.code() is StatusCode.UNAVAILABLE
