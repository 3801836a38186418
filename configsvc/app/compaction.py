"""Compaction: what keeps the log from growing for ever."""

import asyncio
import time

import structlog

from configsvc.domain.models import Retention
from configsvc.storage import compaction
from configsvc.storage.database import Database

log = structlog.get_logger()

STEP = 1000
# Rests this many times as long as each step took, so that it never takes more than a fifth of one connection's time.
REST_FACTOR = 4.0


async def compact(database: Database, retention: Retention) -> None:
    """Removes from the log what the retention does not keep, in small steps.

    Ends early where another process is at it. Raises what `Database.write` raises.
    """
    removed, started = 0, time.monotonic()
    while (removed_now := await _step_and_rest(database, retention)) is not None:
        removed += removed_now
    if removed:
        log.info("log compacted", removed=removed, seconds=round(time.monotonic() - started, 3))


async def _step_and_rest(database: Database, retention: Retention) -> int | None:
    started = time.monotonic()
    async with database.write() as connection:
        removed = await compaction.step(connection, retention, limit=STEP)
    if removed is not None:
        await asyncio.sleep(REST_FACTOR * (time.monotonic() - started))
    return removed
