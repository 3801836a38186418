"""Group commit: concurrent single writes share transactions, and none affects another."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import grpc
import pytest
from grpc import StatusCode

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE, EFFECT_SET
from configsvc.domain.content import JsonValue
from configsvc.storage import database as connections
from configsvc.writes import group_commit
from configsvc.writes.group_commit import GROUPS_AT_ONCE
from configsvc.writes.plan import GROUP_LIMIT_BYTES
from tests.api.calls import (
    Connection,
    content,
    create,
    create_application,
    delete,
    failing,
    get,
    head,
    names,
    patch,
    update,
)
from tests.service import LIMIT_SECONDS, Service, reason_of, running_service
from tests.storage.reading import until_waiting
from tests.watch.changing import selector, watching
from tests.watch.history import read_history
from tests.watch.recording import recorded
from tests.watch.validators import validate


@asynccontextmanager
async def grouped(service: Service, psql: Connection) -> AsyncGenerator[list[Awaitable[Any]]]:
    """Yield a list of writes that arrive while earlier ones wait for their commit, and so form one group."""
    writes: list[Awaitable[Any]] = []
    async with psql.transaction():
        await psql.execute("SELECT FROM commit_order FOR UPDATE")
        earlier: list[asyncio.Task[Any]] = []
        for number in range(GROUPS_AT_ONCE):
            earlier.append(asyncio.create_task(create(service, f"earlier{number}")))
            await until_waiting(psql, number + 1)
        yield writes
        later = [asyncio.ensure_future(write) for write in writes]
        # The writes begin now; otherwise the next call would come first.
        await asyncio.sleep(0)
        # The answer shows that the writes have arrived, because they came first on the same connection.
        await head(service)
    await asyncio.gather(*earlier)
    await asyncio.wait(later, timeout=LIMIT_SECONDS)
    writes[:] = later


def outcomes(writes: Sequence[Any]) -> list[Any]:
    """Return the answer to each write: a resource, a revision, or the reason of an error."""
    return [_outcome(write.exception()) or write.result() for write in writes]


def _outcome(error: BaseException | None) -> str | None:
    assert error is None or isinstance(error, grpc.aio.AioRpcError)
    return reason_of(error) if error else None


async def commits(psql: Connection) -> int:
    return await psql.fetchval("SELECT count(*) FROM commits")


async def test_writes_at_once_share_a_commit(shop: Service, psql: Connection) -> None:
    async with grouped(shop, psql) as writes:
        writes.extend(create(shop, f"c{number}", {"number": number}) for number in range(50))
    created = outcomes(writes)
    assert [content(one.config) for one in created] == [{"number": number} for number in range(50)]
    assert len({one.revision for one in created}) < 10
    assert await commits(psql) == await head(shop)


async def test_each_of_the_writes_that_share_a_commit_has_its_own_outcome(shop: Service, psql: Connection) -> None:
    for name in ("patched", "deleted", "same", "kept"):
        await create(shop, name, {"a": 1})
    async with grouped(shop, psql) as writes:
        writes += [
            create(shop, "new"),
            create(shop, "kept"),
            create(shop, "lost", application="nowhere"),
            patch(shop, "patched", {"b": 2}),
            patch(shop, "same", {"a": 1}),
            patch(shop, "missing", {"a": 1}),
            patch(shop, "kept", {"a": 2}, expected_version=7),
            delete(shop, "deleted"),
            delete(shop, "missing"),
        ]
    new, exists, lost, patched, same, missing, mismatch, revision, not_there = outcomes(writes)
    assert (new.version, patched.version, content(patched.config)) == (1, 2, {"a": 1.0, "b": 2.0})
    assert (same.version, same.revision) == (1, 4)
    assert revision >= new.revision
    assert (exists, lost, missing) == ("RESOURCE_EXISTS", "RESOURCE_NOT_FOUND", "RESOURCE_NOT_FOUND")
    assert (mismatch, not_there) == ("VERSION_MISMATCH", "RESOURCE_NOT_FOUND")
    assert sorted(await names(shop)) == ["earlier0", "earlier1", "kept", "new", "patched", "same"]


async def test_each_of_the_writes_that_share_a_commit_is_logged_with_its_own_reason_and_request_id(
    shop: Service, psql: Connection
) -> None:
    await create(shop, "patched")
    await create(shop, "deleted")
    ids = {name: str(uuid.uuid4()) for name in ("new", "patched", "deleted")}
    async with grouped(shop, psql) as writes:
        writes += [
            create(shop, "new", reason="because new", request_id=ids["new"]),
            patch(shop, "patched", {"a": 1}, reason="because patched", request_id=ids["patched"]),
            delete(shop, "deleted", reason="because deleted", request_id=ids["deleted"]),
        ]
    first = outcomes(writes)
    rows = await psql.fetch("SELECT name, actor, reason, request_id FROM changes WHERE reason <> ''")
    assert {tuple(row) for row in rows} == {(name, "anonymous", f"because {name}", ids[name]) for name in ids}
    again = [
        await create(shop, "new", reason="because new", request_id=ids["new"]),
        await patch(shop, "patched", {"a": 1}, reason="because patched", request_id=ids["patched"]),
        await delete(shop, "deleted", reason="because deleted", request_id=ids["deleted"]),
    ]
    assert again == first


async def test_a_write_that_makes_the_shared_transaction_fail_fails_alone(shop: Service, psql: Connection) -> None:
    await create(shop, "taken")
    await create(shop, "renamed")
    async with grouped(shop, psql) as writes:
        writes.append(update(shop, "renamed", configuration=Configuration(name="taken")))
        writes.append(create(shop, "huge", {"numbers": list[JsonValue]([1e-300] * 4000)}))
        writes.extend(create(shop, f"c{number}") for number in range(20))
    renamed, huge, *others = outcomes(writes)
    assert (renamed, huge) == ("RESOURCE_EXISTS", "INVALID_REQUEST")
    assert [one.version for one in others] == [1] * 20
    assert (await get(shop, "renamed")).version == 1


async def test_writes_to_one_configuration_are_done_one_after_the_other(shop: Service, psql: Connection) -> None:
    await create(shop, "web")
    async with grouped(shop, psql) as writes:
        writes.extend(patch(shop, "web", {f"k{number}": number}) for number in range(20))
    versions = sorted(one.version for one in outcomes(writes))
    assert versions == list(range(2, 22))
    assert len(content((await get(shop, "web")).config)) == 20


async def test_a_name_that_one_gives_up_and_another_takes_does_not_do_both_in_one_commit(
    shop: Service, psql: Connection
) -> None:
    # The log has a commit's updates by id, so a watch of the name would see it appear and then disappear.
    # So many that PostgreSQL updates row by row as the writes are given, not as they lie in the table.
    await psql.execute(
        """INSERT INTO configurations (application, name, config)
        SELECT 'shop', 'other' || number, '{}' FROM generate_series(1, 5000) AS number"""
    )
    await psql.execute("ANALYZE configurations")
    first, second = await create(shop, "a"), await create(shop, "b")
    async with recorded(shop, watching(selector("shop", keys=("b",)))) as watch:
        await watch.until_synced()
        async with grouped(shop, psql) as writes:
            writes.append(update(shop, "b", configuration=Configuration(name="c")))
            writes.append(update(shop, "a", configuration=Configuration(name="b")))
        gone, taken = outcomes(writes)
        recording = await watch.until_revision(taken.revision)
    assert (gone.name, taken.name) == ("c", "b")
    assert gone.revision < taken.revision
    assert [(event.effect, event.configuration.id) for event in recording.events[-2:]] == [
        (EFFECT_REMOVE, second.id),
        (EFFECT_SET, first.id),
    ]


async def test_who_wants_another_row_does_not_wait_for_who_waits_for_a_locked_one(
    shop: Service, psql: Connection, database_url: str
) -> None:
    await create(shop, "locked")
    await create(shop, "free")
    session = await asyncpg.connect(database_url, timeout=10)
    try:
        async with psql.transaction():
            await psql.execute("SELECT FROM configurations WHERE name = 'locked' FOR UPDATE")
            waiting = [asyncio.create_task(patch(shop, "locked", {"a": number})) for number in range(3)]
            # The answer shows that they have arrived, because they came first on the same connection.
            await head(shop)
            # Like the transaction of another process, or the other group of this one.
            async with session.transaction():
                await session.execute("SELECT FROM configurations WHERE name = 'free' FOR UPDATE")
                patched = asyncio.create_task(patch(shop, "free", {"a": 1}))
                await head(shop)
            assert (await patched).version == 2
    finally:
        await session.close()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_call_that_comes_again_while_its_row_is_locked_delays_nobody_else(
    database_url: str, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for settings in ("MERGE_SETTINGS", "WRITE_SETTINGS"):
        monkeypatch.setattr(connections, settings, connections.WRITE_SETTINGS | {"lock_timeout": "60s"})
    monkeypatch.setattr(connections, "COMMAND_TIMEOUT_SECONDS", 60.0)
    request_id = str(uuid.uuid4())
    async with running_service(database_url) as service:
        await create_application(service)
        await create(service, "locked")
        async with psql.transaction():
            await psql.execute("SELECT FROM configurations WHERE name = 'locked' FOR UPDATE")
            again: list[asyncio.Task[Configuration]] = []
            for _ in range(1 + GROUPS_AT_ONCE):
                again.append(asyncio.create_task(patch(service, "locked", {"a": 1}, request_id=request_id)))
                # The answer shows that the call has arrived, because it came first on the same connection.
                await head(service)
            async with asyncio.timeout(LIMIT_SECONDS):
                assert (await create(service, "free")).version == 1
        await asyncio.gather(*again, return_exceptions=True)


async def test_of_equal_creations_that_come_together_one_succeeds(shop: Service, psql: Connection) -> None:
    async with grouped(shop, psql) as writes:
        writes.extend(create(shop, "web") for _ in range(10))
    answers = outcomes(writes)
    assert answers.count("RESOURCE_EXISTS") == 9
    assert (await get(shop, "web")).version == 1


async def test_of_equal_calls_that_come_together_one_does_the_work(shop: Service, psql: Connection) -> None:
    request_id = str(uuid.uuid4())
    async with grouped(shop, psql) as writes:
        writes.extend(create(shop, "web", {"a": 1}, request_id=request_id) for _ in range(5))
        writes.append(create(shop, "web", {"a": 2}, request_id=request_id))
    *answers, other = outcomes(writes)
    assert all(answer == answers[0] for answer in answers)
    assert other == "REQUEST_ID_REUSED"


async def test_a_call_that_fails_in_a_shared_transaction_leaves_its_request_id_free(
    shop: Service, psql: Connection
) -> None:
    request_id = str(uuid.uuid4())
    async with grouped(shop, psql) as writes:
        writes.append(create(shop, "web", application="bank", request_id=request_id))
        writes.append(create(shop, "other"))
    assert outcomes(writes)[0] == "RESOURCE_NOT_FOUND"
    assert (await create(shop, "web", request_id=request_id)).version == 1


async def test_a_name_that_a_session_has_inserted_and_not_committed_leaves_other_creations_alone(
    shop: Service, psql: Connection, database_url: str
) -> None:
    session = await asyncpg.connect(database_url, timeout=10)
    try:
        async with session.transaction():
            await session.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'web', '{}')")
            async with grouped(shop, psql) as writes:
                writes.append(create(shop, "web"))
                writes.extend(create(shop, f"c{number}") for number in range(10))
            web, *others = outcomes(writes)
            assert web == "WRITE_CONFLICT"
            assert [one.version for one in others] == [1] * 10
            # While one of them waits, later writes of that name do not delay the rest.
            waiting = asyncio.create_task(create(shop, "web"))
            assert [(await create(shop, f"d{number}")).version for number in range(10)] == [1] * 10
    finally:
        await session.close()
    assert (await asyncio.gather(waiting, return_exceptions=True))[0] is not None


async def test_an_application_that_a_session_locks_leaves_the_others_alone(shop: Service, psql: Connection) -> None:
    await create_application(shop, "bank")
    async with psql.transaction():
        await psql.execute("SELECT FROM applications WHERE name = 'bank' FOR UPDATE")
        locked = [asyncio.create_task(create(shop, f"c{number}", application="bank")) for number in range(40)]
        for number in range(20):
            assert (await create(shop, f"c{number}")).version == 1
        reasons = {_outcome(error) for error in await asyncio.gather(*locked, return_exceptions=True)}  # type: ignore[arg-type]
    assert reasons == {"WRITE_CONFLICT"}


async def test_a_group_commit_fits_into_one_message_of_a_watch(
    shop: Service, psql: Connection, database_url: str
) -> None:
    text = "x" * (GROUP_LIMIT_BYTES // 20)
    async with recorded(shop, watching()) as watch:
        await watch.until_synced()
        async with grouped(shop, psql) as writes:
            writes.extend(create(shop, f"c{number}", {"text": text}) for number in range(60))
        last = max(one.revision for one in outcomes(writes))
        recording = await watch.until_revision(last)
    assert not [message for message in recording.messages if message.more]
    validate(recording, await read_history(database_url))


async def test_two_processes_that_write_the_same_names_do_not_stop_each_other(database_url: str) -> None:
    async with running_service(database_url) as one, running_service(database_url) as other:
        await create_application(one)
        for _ in range(5):
            calls = [create(service, f"c{number}") for number in range(40) for service in (one, other)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert [isinstance(answer, Configuration) for answer in answers].count(True) == 40
            assert {_outcome(answer) for answer in answers if isinstance(answer, BaseException)} == {"RESOURCE_EXISTS"}
            deletions = [delete(service, f"c{number}") for number in reversed(range(40)) for service in (other, one)]
            gone = await asyncio.gather(*deletions, return_exceptions=True)
            assert [isinstance(answer, int) for answer in gone].count(True) == 40


async def test_more_writes_than_a_process_queues_are_refused_as_busy(
    shop: Service, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "QUEUE_LIMIT", 3)
    async with grouped(shop, psql) as writes:
        writes.extend(create(shop, f"c{number}") for number in range(20))
    answers = outcomes(writes)
    # Two transactions may have taken what was queued, and as much waits for the next.
    assert answers.count("DATABASE_BUSY") >= 20 - 3 * 3
    assert [isinstance(answer, Configuration) for answer in answers].count(True) >= 3
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(shop, f"c{[isinstance(answer, str) for answer in answers].index(True)}")


async def test_writes_under_way_are_done_when_the_service_stops(database_url: str, psql: Connection) -> None:
    async with running_service(database_url) as service:
        await create_application(service)
        async with psql.transaction():
            await psql.execute("SELECT FROM commit_order FOR UPDATE")
            writes = [asyncio.create_task(create(service, f"c{number}")) for number in range(30)]
            await until_waiting(psql, 1)
            await head(service)
            service.stop.set()
        answers = await asyncio.gather(*writes)
    assert [one.version for one in answers] == [1] * 30
