"""Rows that others change between the read of a group commit and its statement."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from grpc import StatusCode

from configsvc.storage import group_commits
from configsvc.storage.queries import queries
from configsvc.writes.group_commit import CHANGED_LIMIT
from tests.api.calls import Connection, content, create, create_application, delete, failing, get, head, names, patch
from tests.schemas.calls import create_schema
from tests.service import Service, running_service
from tests.storage.reading import changes
from tests.writes.schemas import pin

Meddle = Callable[[], Awaitable[Any]]


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> list[Meddle]:
    """Return a list of what happens between the read and the statement of the next groups, one for each."""
    left: list[Meddle] = []
    write = group_commits.write

    async def meddled(*arguments: Any, **fields: Any) -> Any:
        if left:
            await left.pop(0)()
        return await write(*arguments, **fields)

    monkeypatch.setattr(group_commits, "write", meddled)
    return left


def once(psql: Connection, statement: str) -> Meddle:
    return lambda: psql.execute(statement)


MORE = "UPDATE configurations SET config = config || jsonb_build_object('by_hand', version) WHERE name = 'web'"


@pytest.mark.parametrize("times", [1, CHANGED_LIMIT + 1])
async def test_a_patch_is_applied_to_what_the_row_has_become(
    shop: Service, psql: Connection, between: list[Meddle], times: int
) -> None:
    await create(shop, "web", {"n": 1})
    between.extend([once(psql, MORE)] * times)
    changed = await patch(shop, "web", {"n": 2})
    assert not between
    assert changed.version == times + 2
    assert content(changed.config) == {"n": 2, "by_hand": times}


async def test_an_expected_version_is_compared_with_the_row_at_the_commit(
    shop: Service, psql: Connection, between: list[Meddle]
) -> None:
    await create(shop, "web", {"n": 1})
    between.append(once(psql, MORE))
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await patch(shop, "web", {"n": 2}, expected_version=1)


async def test_a_deletion_deletes_what_the_row_has_become(
    shop: Service, psql: Connection, between: list[Meddle]
) -> None:
    await create(shop, "web", {"n": 1})
    between.append(once(psql, MORE))
    await delete(shop, "web")
    assert [row["version"] for row in await changes(psql)][1:] == [1, 2, 3]


async def test_an_application_that_is_renamed_or_deleted_is_looked_for_again(
    shop: Service, psql: Connection, between: list[Meddle]
) -> None:
    other = await create_application(shop, "other")
    between.append(once(psql, "UPDATE applications SET name = 'renamed' WHERE name = 'other'"))
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await create(shop, "web", application="other")
    between.append(once(psql, f"DELETE FROM applications WHERE id = '{other.id}'"))
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await create(shop, "web", application="renamed")


async def test_a_config_is_validated_by_the_version_that_is_newest_at_the_commit(
    shop: Service, psql: Connection, between: list[Meddle]
) -> None:
    await create_schema(shop, "web")
    newer = """INSERT INTO schema_versions (schema, document) VALUES ('web', '{"required": ["replicas"]}')"""
    between.append(once(psql, newer))
    with failing(StatusCode.INVALID_ARGUMENT, "SCHEMA_VIOLATED"):
        await create(shop, "web", {}, schema=pin("web"))
    assert await names(shop) == []


async def test_two_processes_that_patch_the_same_rows_lose_nothing(database_url: str, psql: Connection) -> None:
    async with running_service(database_url) as one, running_service(database_url) as other:
        await create_application(one)
        for name in ("a", "b"):
            await create(one, name, {})

        async def patches(service: Service, key: str) -> None:
            for number in range(20):
                await asyncio.gather(*(patch(service, name, {f"{key}{number}": number}) for name in ("a", "b")))

        async def by_hand() -> None:
            for _ in range(20):
                await psql.execute("UPDATE configurations SET config = config || jsonb_build_object('n' || version, 1)")

        await asyncio.gather(patches(one, "x"), patches(other, "y"), by_hand())
        for name in ("a", "b"):
            left = await get(one, name, min_revision=await head(one))
            assert left.version == 61
            assert len(content(left.config)) == 60


async def test_a_group_is_two_round_trips(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await create_schema(shop, "web")
    await create(shop, "web", {"replicas": 1}, schema=pin("web"))
    sent = sent_in_groups(monkeypatch)
    await patch(shop, "web", {"replicas": 2}, request_id="0b7e4a3c-6a3d-4f0e-9d52-0c6f2b7f5b7e")
    await create(shop, "new", {"replicas": 1}, schema=pin("web"))
    await delete(shop, "new")
    groups = queries("group_commits")
    assert sent() == [groups["look"], groups["write"]] * 3


def sent_in_groups(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return a function that returns what the sessions of group commits have sent since."""
    sent: dict[Any, list[str]] = {}
    connection: Any = asyncpg.connection.Connection

    def recorded(send: Any) -> Any:
        async def record(session: Any, query: str, *arguments: Any, **more: Any) -> Any:
            sent.setdefault(session, []).append(query)
            return await send(session, query, *arguments, **more)

        return record

    for name in ("_do_execute", "execute"):
        monkeypatch.setattr(connection, name, recorded(getattr(connection, name)))
    write = queries("group_commits")["write"]
    return lambda: [query for queries_sent in sent.values() if write in queries_sent for query in queries_sent]
