"""Writes that PostgreSQL alone refuses: they cost those that share their group few transactions."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import pytest

from configapi.v1.configuration_pb2 import Configuration
from configsvc.domain.content import JsonValue
from tests.api.calls import Connection, create, create_application, update
from tests.app.scraping import Metrics, measured_service
from tests.postgres import plain_connection
from tests.schemas.calls import create_schema
from tests.service import Service
from tests.storage.reading import until_waiting
from tests.writes.schemas import pin
from tests.writes.test_group_commit import grouped, outcomes

NEIGHBOURS = 200


@pytest.fixture
async def measured(database_url: str) -> AsyncGenerator[tuple[Service, Metrics]]:
    """Run a service with the application shop, and metrics."""
    async with measured_service(database_url) as (service, metrics):
        await create_application(service, "shop")
        yield service, metrics


async def transactions_of(
    service: Service, metrics: Metrics, psql: Connection, *suspects: Awaitable[Any]
) -> tuple[float, list[Any]]:
    """Write the suspects in one group with many others; return the number of transactions, and what became of them."""
    before = await metrics.value("configsvc_write_transactions_total")
    async with grouped(service, psql) as writes:
        for number in range(NEIGHBOURS):
            writes.append(create(service, f"c{number}"))
            if number == NEIGHBOURS // 2:
                writes.extend(suspects)
    found = outcomes(writes)
    middle = NEIGHBOURS // 2 + 1
    neighbours = found[:middle] + found[middle + len(suspects) :]
    assert [one.version for one in neighbours] == [1] * NEIGHBOURS
    return await metrics.value("configsvc_write_transactions_total") - before, found[middle : middle + len(suspects)]


@pytest.mark.parametrize("number", [5e-324, -1.5e-300])
async def test_a_config_that_outgrows_its_limit_as_postgresql_writes_it_costs_the_others_nothing(
    measured: tuple[Service, Metrics], psql: Connection, number: float
) -> None:
    service, metrics = measured
    suspect = create(service, "huge", {"numbers": list[JsonValue]([number] * 4000)})
    count, found = await transactions_of(service, metrics, psql, suspect)
    assert found == ["INVALID_REQUEST"]
    assert count <= 5


async def test_a_rename_to_a_name_that_is_taken_costs_the_others_nothing(
    measured: tuple[Service, Metrics], psql: Connection
) -> None:
    service, metrics = measured
    for name in ("taken", "renamed", "freed", "moved"):
        await create(service, name)
    suspects = (
        update(service, "renamed", configuration=Configuration(name="taken")),
        update(service, "moved", configuration=Configuration(name="free")),
    )
    count, found = await transactions_of(service, metrics, psql, *suspects)
    assert (found[0], found[1].name) == ("RESOURCE_EXISTS", "free")
    assert count <= 6


async def test_a_write_that_only_postgresql_refuses_is_found_by_halving_its_group(
    measured: tuple[Service, Metrics], psql: Connection
) -> None:
    service, metrics = measured
    await psql.execute("ALTER TABLE configurations ADD CONSTRAINT own CHECK (name <> 'refused')")
    count, found = await transactions_of(service, metrics, psql, create(service, "refused"))
    assert found == ["INTERNAL"]
    # Two for each halving of 201 writes, and those before and after.
    assert count <= 2 * 8 + 6


async def test_many_writes_that_postgresql_refuses_all_get_their_answers(
    measured: tuple[Service, Metrics], psql: Connection
) -> None:
    service, metrics = measured
    await psql.execute("ALTER TABLE configurations ADD CONSTRAINT own CHECK (name NOT LIKE 'refused%')")
    suspects = [create(service, f"refused{number}") for number in range(20)]
    _, found = await transactions_of(service, metrics, psql, *suspects)
    assert found == ["INTERNAL"] * 20
    assert (await asyncio.gather(create(service, "later")))[0].version == 1


@pytest.mark.parametrize(
    ("lock", "blocked"),
    [
        ("INSERT INTO configurations (application, name, config) VALUES ('shop', 'blocked', '{}')", {}),
        ("SELECT FROM schema_versions WHERE schema = 'web' FOR UPDATE", {"schema": pin("web")}),
    ],
    ids=["key", "referenced row"],
)
async def test_a_write_that_waits_for_a_lock_is_found_by_halving_its_group(
    measured: tuple[Service, Metrics], psql: Connection, database_url: str, lock: str, blocked: dict[str, Any]
) -> None:
    service, metrics = measured
    await create_schema(service, "web")
    async with plain_connection(database_url) as session, session.transaction():
        await session.execute(lock)
        count, found = await transactions_of(service, metrics, psql, create(service, "blocked", **blocked))
    assert found == ["WRITE_CONFLICT"]
    # Two for each halving of 201 writes, and those before and after.
    assert count <= 2 * 8 + 6


async def test_a_write_that_waits_for_a_lock_is_done_when_the_lock_is_released(
    shop: Service, psql: Connection, database_url: str
) -> None:
    async with plain_connection(database_url) as session:
        begun = session.transaction()
        await begun.start()
        await session.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'blocked', '{}')")
        waiting = asyncio.gather(*(create(shop, name) for name in ("a", "blocked", "b")))
        await until_waiting(psql, 1)
        await begun.rollback()
        assert [one.version for one in await waiting] == [1, 1, 1]
