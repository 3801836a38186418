"""The one connection of a process that hears of commits. It never opens a transaction: PostgreSQL would hold its
notifications back.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from configsvc.aio import wait_for_event
from configsvc.domain.access import Grant
from configsvc.domain.commits import Position
from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.storage import log, role_bindings
from configsvc.storage.database import (
    CONNECT_TIMEOUT_SECONDS,
    READ_SETTINGS,
    Session,
    prepare_connection,
    translated_errors,
)

# A connection that does not answer within this time counts as lost.
ROUND_TRIP_LIMIT_SECONDS = 2.0


class Listener:
    """Reads the log, and knows when to. All methods raise DatabaseUnavailableError."""

    def __init__(self, connection: Session) -> None:
        self._connection = connection
        self._bell = asyncio.Event()

    def _ring(self, *_: object) -> None:
        self._bell.set()

    async def start(self) -> None:
        """Listens, and proves with a notification of its own that it hears: behind some poolers nothing ever
        arrives.
        """
        self._connection.add_termination_listener(self._ring)
        with _lost_if_failed():
            await self._connection.add_listener(log.CHANNEL, self._ring)
            async with asyncio.timeout(ROUND_TRIP_LIMIT_SECONDS):
                await self._connection.execute("SELECT pg_notify($1, '')", log.CHANNEL)
                await self._bell.wait()

    async def wait_for_bell(self, limit_seconds: float) -> bool:
        """Whether something was committed since the last call; False after the limit, for a bell may be lost."""
        rang = await wait_for_event(self._bell, limit_seconds)
        self._bell.clear()
        if self._connection.is_closed():
            raise DatabaseUnavailableError
        return rang

    async def epoch(self) -> str:
        """See `configsvc.storage.log.epoch`."""
        with _lost_if_failed():
            return await log.epoch(self._connection)

    async def bounds(self) -> log.Bounds:
        """See `configsvc.storage.log.bounds`."""
        with _lost_if_failed():
            return await log.bounds(self._connection)

    async def notification_queue_usage(self) -> float:
        """How full PostgreSQL's queue of notifications is, 0 to 1. When it is full, commits fail."""
        with _lost_if_failed():
            return await log.notification_queue_usage(self._connection)

    async def page_from(self, position: Position) -> log.LogPage:
        """See `configsvc.storage.log.page_from`. Raises RevisionCompactedError too."""
        with _lost_if_failed():
            return await log.page_from(self._connection, position)

    async def grants(self) -> tuple[Grant, ...]:
        """See `configsvc.storage.role_bindings.grants`."""
        with _lost_if_failed():
            return await role_bindings.grants(self._connection)

    async def held_to_the_end(self, application_ids: Iterable[str]) -> tuple[Grant, ...]:
        """See `configsvc.storage.role_bindings.held_to_the_end`."""
        with _lost_if_failed():
            return await role_bindings.held_to_the_end(self._connection, application_ids)


@contextmanager
def _lost_if_failed() -> Generator[None]:
    """Whatever PostgreSQL refuses the feed, such as LISTEN on a replica, is tried again on another connection."""
    with translated_errors():
        try:
            yield
        except asyncpg.PostgresError as error:
            raise DatabaseUnavailableError from error


@asynccontextmanager
async def open_listener(url: str) -> AsyncGenerator[Listener]:
    """A connection of its own, which hears of every commit from now on. Raises DatabaseUnavailableError."""
    with _lost_if_failed():
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=ROUND_TRIP_LIMIT_SECONDS,
            server_settings=READ_SETTINGS | {"application_name": "configsvc feed", "statement_timeout": "10s"},
        )
    try:
        with _lost_if_failed():
            await prepare_connection(connection)
        listener = Listener(connection)
        await listener.start()
        yield listener
    finally:
        # A polite close would wait for an answer that a lost connection never gives.
        connection.terminate()
