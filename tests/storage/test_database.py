import asyncio

import pytest

from configsvc.limits.slots import connection_turn
from configsvc.storage.database import Database, open_database
from tests.proxy import proxied

LIMIT_SECONDS = 30.0


async def write_that_never_ends(database: Database, under_way: asyncio.Event) -> None:
    async with database.write() as connection, connection.transaction():
        under_way.set()
        await connection.execute("SELECT pg_sleep(3600)")


@pytest.mark.parametrize("fault", ["freeze", "cut"])
async def test_work_that_is_cancelled_ends_as_cancelled_although_its_connection_fails(
    database_url: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The rollback gets no answer for so long.
    monkeypatch.setattr("configsvc.storage.database.COMMAND_TIMEOUT_SECONDS", 1.0)
    async with (
        proxied(database_url) as (cable, url),
        open_database(url, turn=connection_turn) as database,
        asyncio.timeout(LIMIT_SECONDS),
    ):
        under_way = asyncio.Event()
        work = asyncio.create_task(write_that_never_ends(database, under_way))
        await under_way.wait()
        cable.freeze()
        work.cancel()
        if fault == "cut":
            await cable.cut()
        with pytest.raises(asyncio.CancelledError):
            await work
