"""What must be cleared away now and then."""

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from configsvc.domain.errors import ConfigsvcError
from configsvc.storage import requests

if TYPE_CHECKING:
    from configsvc.storage.database import Database

log = structlog.get_logger()

INTERVAL_SECONDS = 600.0
STEP = 1000


async def keep_house(database: "Database") -> None:
    """Deletes calls that are too old to be repeated, in small steps, until it is cancelled."""
    while True:
        try:
            await purge_requests(database)
        except ConfigsvcError as error:
            log.warning("housekeeping is put off", error=repr(error))
        # Several processes share the work better when they do not start together.
        await asyncio.sleep(random.uniform(INTERVAL_SECONDS / 2, INTERVAL_SECONDS))  # noqa: S311


async def purge_requests(database: "Database") -> None:
    """Deletes all calls that are too old to be repeated. Raises what `Database.write` raises."""
    deleted = STEP
    while deleted == STEP:
        async with database.write() as connection:
            deleted = await requests.purge(connection, limit=STEP)
