"""Writes of sources when something fails in the middle, and from two processes."""

import asyncio
import uuid

from grpc import StatusCode
from grpc.aio import AioRpcError

from configapi.v1.source_pb2 import Source
from tests.api.calls import Connection, create, failing, head, names
from tests.api.sources import apply, marks, source_of
from tests.postgres import plain_connection
from tests.service import Service, reason_of, running_service
from tests.storage.reading import until_waiting
from tests.writes.batches import upsert

KILL_WAITING = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted"


async def test_a_connection_that_is_killed_between_the_writes_and_their_marks_leaves_neither(
    shop: Service, psql: Connection, database_url: str
) -> None:
    request_id = str(uuid.uuid4())
    before = await head(shop)
    async with plain_connection(database_url) as session, session.transaction():
        # The writes are done by then, in the same transaction.
        await session.execute("LOCK TABLE applied_configurations IN SHARE MODE")
        calling = asyncio.ensure_future(apply(shop, "shop", upsert("web", {"n": 1}), request_id=request_id))
        await until_waiting(psql)
        await psql.execute(KILL_WAITING)
        with failing(StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"):
            await calling
    assert await head(shop) == before
    assert await names(shop) == []
    assert await source_of(shop, "shop") is None
    applied = await apply(shop, "shop", upsert("web", {"n": 1}), request_id=request_id)
    assert applied.revision == before + 1
    assert [*(await marks(shop, "shop")).values()] == [("web", 1)]


async def test_a_lock_on_marks_that_is_not_released_is_a_conflict_and_leaves_nothing(
    shop: Service, database_url: str
) -> None:
    first = await apply(shop, "shop", upsert("web", {"n": 1}))
    async with plain_connection(database_url) as session, session.transaction():
        await session.execute("SELECT FROM application_sources FOR UPDATE")
        with failing(StatusCode.ABORTED, "WRITE_CONFLICT"):
            await apply(shop, "shop", upsert("web", {"n": 2}), commit="c2", expected_etag=first.source.etag)
        # Nobody else waits for it.
        await create(shop, "other")
    assert await source_of(shop, "shop") == first.source
    assert [*(await marks(shop, "shop")).values()] == [("web", 1)]


async def test_of_two_processes_that_apply_at_once_one_does(shop: Service, database_url: str) -> None:
    async def attempt(on: Service, commit: str, etag: str) -> Source | str:
        try:
            return (await apply(on, "shop", upsert(commit), commit=commit, expected_etag=etag)).source
        except AioRpcError as error:
            return reason_of(error)

    async with running_service(database_url) as other:
        etag, winner = "", None
        for turn in range(10):
            answers = await asyncio.gather(
                *(attempt(on, f"c{turn}-{number}", etag) for number, on in enumerate((shop, other)))
            )
            (winner,) = [one for one in answers if isinstance(one, Source)]
            assert {one for one in answers if isinstance(one, str)} <= {"VERSION_MISMATCH", "WRITE_CONFLICT"}
            etag = winner.etag
        assert await source_of(other, "shop") == winner
        assert len(await marks(shop, "shop")) == 10
        assert len(await names(shop)) == 10
