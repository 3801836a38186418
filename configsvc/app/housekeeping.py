"""What must be cleared away now and then."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from configsvc.app.compaction import compact
from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.models import Retention
from configsvc.operations import queue
from configsvc.storage import idempotency, operations
from configsvc.storage.database import Database
from configsvc.writes.transactions import transaction

log = structlog.get_logger()

INTERVAL_SECONDS = 600.0
STEP = 1000


async def keep_house(database: Database, retention: Retention) -> None:
    """Deletes calls that are too old to be repeated and operations that ended long ago, compacts the log, in small
    steps, and asks again for operations whose jobs are lost, until it is cancelled.
    """
    short_works = {
        "requests": partial(purge_requests, database),
        "operations": partial(purge_operations, database),
        "jobs": partial(enqueue_again, database),
    }
    async with asyncio.TaskGroup() as tasks:
        # One after the other: each of those who work at the same time has to connect.
        tasks.create_task(_now_and_then(short_works))
        # By itself, for it may take hours.
        tasks.create_task(_now_and_then({"compaction": partial(compact, database, retention)}))


async def _now_and_then(works: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    while True:
        for name, work in works.items():
            try:
                await work()
            except ConfigsvcError as error:
                log.warning("housekeeping is put off", work=name, error=repr(error))
        # Several processes share the work better when they do not start together.
        await asyncio.sleep(random.uniform(INTERVAL_SECONDS / 2, INTERVAL_SECONDS))  # noqa: S311


async def purge_requests(database: Database) -> None:
    """Deletes all calls that are too old to be repeated. Raises what `Database.write` raises."""
    deleted = STEP
    while deleted == STEP:
        async with database.write() as connection:
            deleted = await idempotency.purge(connection, limit=STEP)


async def enqueue_again(database: Database) -> None:
    """Asks again for operations to be carried out whose jobs are lost. Raises what `Database.write` raises."""
    async with database.write() as connection:
        # A transaction for each, which holds but one lock that others may wait for.
        for actor in await operations.actors_without_job(connection):
            async with transaction(connection):
                enqueued = await queue.enqueue_due(connection, actor)
            for operation_id in enqueued:
                log.warning("an operation had lost its job", operation=operation_id)


async def purge_operations(database: Database) -> None:
    """Deletes operations that ended 7 days ago, and what was staged and never submitted. Raises what `Database.write`
    raises.
    """
    deleted = STEP
    while deleted >= STEP:
        async with database.write() as connection, transaction(connection):
            deleted = await operations.purge(connection, limit=STEP)
