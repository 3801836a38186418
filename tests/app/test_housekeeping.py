import asyncio

import pytest

from configsvc.app import housekeeping
from configsvc.domain.errors import (
    ConfigsvcError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    WriteConflictError,
    WriteTooLargeError,
)
from configsvc.domain.models import DEFAULT_RETENTION
from configsvc.limits.slots import connection_turn
from configsvc.storage.database import open_database
from tests.service import LIMIT_SECONDS


@pytest.mark.parametrize("error", [DatabaseBusyError, DatabaseUnavailableError, WriteConflictError, WriteTooLargeError])
async def test_housekeeping_outlives_whatever_keeps_it_from_its_work(
    database_url: str, monkeypatch: pytest.MonkeyPatch, error: type[ConfigsvcError]
) -> None:
    tried = asyncio.Event()
    tries = 0

    async def purge(connection: object, *, limit: int) -> int:
        nonlocal tries
        tries += 1
        if tries > 1:
            tried.set()
            return 0
        raise error

    monkeypatch.setattr("configsvc.storage.idempotency.purge", purge)
    monkeypatch.setattr(housekeeping, "INTERVAL_SECONDS", 0.01)
    async with open_database(database_url, turn=connection_turn) as database, asyncio.timeout(LIMIT_SECONDS):
        keeping = asyncio.create_task(housekeeping.keep_house(database, DEFAULT_RETENTION))
        await tried.wait()
        assert not keeping.done()
        keeping.cancel()
