"""Housekeeping: delete what expired, compact the log, and restore lost jobs."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.models import Retention
from configsvc.operations import queue
from configsvc.storage import compaction, idempotency, operations, source_leases
from configsvc.storage.database import Database
from configsvc.writes.transactions import transaction

log = structlog.get_logger()

INTERVAL_SECONDS = 600.0
# Rows that one transaction deletes at most.
STEP = 1000
# Records of the log that one transaction of compaction reads at most.
COMPACTION_STEP = 1000
# Compaction rests this many times as long as each step took: it takes at most a fifth of one connection's time.
REST_FACTOR = 4.0


async def keep_house(database: Database, retention: Retention) -> None:
    """Do all housekeeping at start and every 5 to 10 minutes, until cancelled."""
    short_works = {
        "requests": partial(purge_requests, database),
        "operations": partial(purge_operations, database),
        "leases": partial(purge_leases, database),
        "jobs": partial(enqueue_again, database),
    }
    async with asyncio.TaskGroup() as tasks:
        # One after the other: works that run at the same time need a connection each.
        tasks.create_task(_repeat(short_works))
        # By itself, as it may take hours.
        tasks.create_task(_repeat({"compaction": partial(compact, database, retention)}))


async def _repeat(works: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    while True:
        for name, work in works.items():
            try:
                await work()
            except ConfigsvcError as error:
                log.warning("housekeeping postponed", work=name, error=repr(error))
        # Random, so that processes that started together share the work.
        await asyncio.sleep(random.uniform(INTERVAL_SECONDS / 2, INTERVAL_SECONDS))  # noqa: S311


async def purge_requests(database: Database) -> None:
    """Delete expired request_ids. Raises what `Database.write` raises."""
    deleted = STEP
    while deleted == STEP:
        async with database.write() as connection:
            deleted = await idempotency.purge(connection, limit=STEP)


async def purge_leases(database: Database) -> None:
    """Delete expired leases of sources. Raises what `Database.write` raises."""
    deleted = STEP
    while deleted == STEP:
        async with database.write() as connection:
            deleted = await source_leases.purge(connection, limit=STEP)


async def purge_operations(database: Database) -> None:
    """Delete operations that ended 7 days ago, and staged items that were never submitted.

    Raises what `Database.write` raises.
    """
    deleted = STEP
    while deleted >= STEP:
        async with database.write() as connection, transaction(connection):
            deleted = await operations.purge(connection, limit=STEP)


async def enqueue_again(database: Database) -> None:
    """Enqueue the operations whose jobs are lost. Raises what `Database.write` raises."""
    async with database.write() as connection:
        # A transaction for each actor, which holds only one lock that others may wait for.
        for actor in await operations.actors_without_job(connection):
            async with transaction(connection):
                enqueued = await queue.enqueue_due(connection, actor)
            for operation_id in enqueued:
                log.warning("operation enqueued again: its job was lost", operation=operation_id)


async def compact(database: Database, retention: Retention) -> None:
    """Delete from the log, in small steps, everything beyond the retention.

    Return early if another process compacts it. Raises what `Database.write` raises.
    """
    removed, started = 0, time.monotonic()
    while (removed_now := await _compact_and_rest(database, retention)) is not None:
        removed += removed_now
    if removed:
        log.info("log compacted", removed=removed, seconds=round(time.monotonic() - started, 3))


async def _compact_and_rest(database: Database, retention: Retention) -> int | None:
    started = time.monotonic()
    async with database.write() as connection:
        removed = await compaction.step(connection, retention, limit=COMPACTION_STEP)
    if removed is not None:
        await asyncio.sleep(REST_FACTOR * (time.monotonic() - started))
    return removed
