"""Leases of sources: of several programs that apply the same files, one has the lease."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from configapi.v1.source_service_pb2 import (
    AcquireSourceLeaseRequest,
    AcquireSourceLeaseResponse,
    ReleaseSourceLeaseRequest,
)
from configsvc.app.housekeeping import purge_leases
from configsvc.limits.slots import connection_turn
from configsvc.storage.database import open_database
from tests.access.bindings import VIEWER, bind, create_application
from tests.api.calls import Connection, failing
from tests.api.sources import REPOSITORY
from tests.identity.tokens import bearing, oidc_settings
from tests.postgres import plain_connection
from tests.service import Service, running_service, violations_of
from tests.storage.reading import until_waiting

EXPIRE = "UPDATE source_leases SET expire_time = clock_timestamp() WHERE holder = $1"
TAKE_OVER = "UPDATE source_leases SET holder = $1, expire_time = clock_timestamp() + interval '1 minute'"
# What remains of a lease if the clock is set back by an hour.
SET_CLOCK_BACK = "UPDATE source_leases SET expire_time = expire_time + interval '1 hour'"


async def acquire(
    service: Service, holder: str, *, seconds: float = 60, caller: str = "", **fields: Any
) -> AcquireSourceLeaseResponse:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    given: dict[str, Any] = {"repository": REPOSITORY, "path": "path", "holder": holder, "duration": duration}
    request = AcquireSourceLeaseRequest(**given | fields)
    return await service.sources.AcquireSourceLease(request, metadata=bearing(caller) if caller else None)


async def release(service: Service, holder: str) -> bool:
    request = ReleaseSourceLeaseRequest(repository=REPOSITORY, path="path", holder=holder)
    return (await service.sources.ReleaseSourceLease(request)).released


async def test_of_several_holders_at_two_processes_one_has_the_lease(service: Service, database_url: str) -> None:
    async with running_service(database_url) as other:
        asked = [(f"agent-{number}", (service, other)[number % 2]) for number in range(10)]
        answers = await asyncio.gather(*(acquire(on, holder) for holder, on in asked))
        (winner,) = {answer.holder for answer in answers}
        assert [answer.acquired for answer in answers] == [holder == winner for holder, _ in asked]
        # Whoever has it can keep it, at any process.
        for on in (service, other):
            again = await acquire(on, winner)
            assert again.acquired
            assert 50 < again.remaining.seconds <= 60
        # Another path, and another repository, have leases of their own.
        assert (await acquire(service, "another", path="")).acquired
        assert (await acquire(other, "another", repository="git@git.example.com:other.git")).acquired


async def test_a_lease_that_its_holder_gives_back_goes_to_the_next(service: Service) -> None:
    assert (await acquire(service, "one")).acquired
    assert not await release(service, "two")
    refused = await acquire(service, "two")
    assert (refused.acquired, refused.holder) == (False, "one")
    assert await release(service, "one")
    assert (await acquire(service, "two")).acquired
    assert not await release(service, "one")


async def test_a_lease_that_is_extended_expires_later_and_never_for_its_holder_alone(service: Service) -> None:
    first = await acquire(service, "one", seconds=5)
    second = await acquire(service, "one", seconds=600)
    assert second.expire_time.ToDatetime() > first.expire_time.ToDatetime()
    assert (await acquire(service, "two")).expire_time == second.expire_time


async def test_a_lease_expires_by_the_clock_of_the_database(service: Service, psql: Connection) -> None:
    assert (await acquire(service, "one", seconds=5)).acquired
    await psql.execute(EXPIRE, "one")
    assert (await acquire(service, "two")).acquired
    late = await acquire(service, "one")
    assert (late.acquired, late.holder) == (False, "two")
    await psql.execute(EXPIRE, "two")
    assert not await release(service, "two")


async def test_a_holder_whose_expired_lease_another_takes_at_that_moment_is_told_who_has_it(
    service: Service, psql: Connection, database_url: str
) -> None:
    assert (await acquire(service, "one")).acquired
    await psql.execute(EXPIRE, "one")
    async with plain_connection(database_url) as session:
        async with session.transaction():
            await session.execute(TAKE_OVER, "two")
            calling = asyncio.ensure_future(acquire(service, "one"))
            await until_waiting(psql)
        refused = await calling
    assert (refused.acquired, refused.holder) == (False, "two")
    assert refused.remaining.seconds > 0


async def test_a_clock_that_is_set_back_prolongs_no_lease_beyond_the_longest_one(
    service: Service, psql: Connection
) -> None:
    assert (await acquire(service, "gone", seconds=600)).acquired
    await psql.execute(SET_CLOCK_BACK)
    taken = await acquire(service, "two", seconds=60)
    assert (taken.acquired, taken.holder) == (True, "two")
    assert taken.remaining.seconds <= 60


async def test_expired_leases_are_deleted(service: Service, psql: Connection, database_url: str) -> None:
    assert (await acquire(service, "one")).acquired
    assert (await acquire(service, "two", path="elsewhere")).acquired
    await psql.execute(EXPIRE, "one")
    async with open_database(database_url, turn=connection_turn) as database:
        await purge_leases(database)
    assert [row["holder"] for row in await psql.fetch("SELECT holder FROM source_leases")] == ["two"]


@pytest.fixture
async def guarded(database_url: str, tmp_path: Path) -> AsyncGenerator[Service]:
    """Run a service that requires tokens, with an application of which ann and bob are viewers."""
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await create_application(service, "shop")
        await bind(service, "user:ann", VIEWER, "shop")
        await bind(service, "user:bob", VIEWER, "shop")
        yield service


async def test_no_caller_can_hold_up_another_one(guarded: Service) -> None:
    assert (await acquire(guarded, "agent", caller="ann")).acquired
    assert (await acquire(guarded, "other", caller="bob")).acquired
    assert not (await acquire(guarded, "third", caller="ann")).acquired
    with failing(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
        await acquire(guarded, "agent", caller="stranger")


async def test_a_caller_has_a_limited_number_of_leases_which_it_can_extend_and_release(
    guarded: Service, psql: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.storage.source_leases.MAX_LEASES", 2)
    for path in ("a", "b"):
        assert (await acquire(guarded, "agent", caller="ann", path=path)).acquired
    # One that has expired counts until it is deleted.
    await psql.execute(EXPIRE, "agent")
    with failing(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED") as caught:
        await acquire(guarded, "agent", caller="ann", path="c")
    assert "the caller has 2 leases: release some" in (caught.value.details() or "")
    assert (await acquire(guarded, "agent", caller="ann", path="b")).acquired
    assert not (await acquire(guarded, "other", caller="ann", path="b")).acquired
    assert (await acquire(guarded, "agent", caller="bob", path="c")).acquired
    request = ReleaseSourceLeaseRequest(repository=REPOSITORY, path="a", holder="agent")
    await guarded.sources.ReleaseSourceLease(request, metadata=bearing("ann"))
    assert (await acquire(guarded, "agent", caller="ann", path="c")).acquired


async def test_a_lease_that_cannot_be_had_is_refused(service: Service) -> None:
    refused: list[tuple[str, dict[str, Any]]] = [
        ("duration", {"duration": None}),
        ("duration", {"duration": Duration(seconds=4, nanos=999_999_999)}),
        ("duration", {"duration": Duration(seconds=600, nanos=1)}),
        ("holder", {"holder": ""}),
        ("holder", {"holder": "a" * 257}),
        ("holder", {"holder": "a\x1b"}),
        ("repository", {"repository": ""}),
        ("repository", {"repository": "https://user:secret@git.example.com/a.git"}),
    ]
    for fault, fields in refused:
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
            await acquire(service, fields.pop("holder", "agent"), **fields)
        assert violations_of(caught.value).keys() == {fault}
