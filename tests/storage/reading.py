"""The log as a session of psql sees it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.postgres import plain_connection

if TYPE_CHECKING:
    from asyncpg import Record

    Session = asyncpg.Connection[Record]
else:
    Session = asyncpg.Connection

CHANNEL = "configsvc_changes"
LIMIT_SECONDS = 30.0


async def changes(session: Session) -> list["Record"]:
    """Return the whole log."""
    return await session.fetch("SELECT * FROM changes ORDER BY revision, ordinal")


async def changes_after(session: Session, revision: int) -> list["Record"]:
    """Return the log after a revision."""
    return [change for change in await changes(session) if change["revision"] > revision]


async def head(session: Session) -> int:
    """Return the revision of the last commit."""
    return await session.fetchval("SELECT revision FROM revision_counter")


async def revisions(session: Session) -> list[int]:
    """Return the revisions of all commits."""
    rows = await session.fetch("SELECT revision FROM commits ORDER BY revision")
    return [row["revision"] for row in rows]


async def application(session: Session, name: str = "shop") -> str:
    """Create an application; return its id."""
    return await session.fetchval("INSERT INTO applications (name) VALUES ($1) RETURNING id", name)


async def configuration(session: Session, name: str, config: str = "{}", application: str = "shop") -> str:
    """Create a configuration; return its id."""
    return await session.fetchval(
        "INSERT INTO configurations (application, name, config) VALUES ($1, $2, $3) RETURNING id",
        application,
        name,
        config,
    )


async def wait_until_blocked(session: Session, *, others: int = 1) -> None:
    """Wait until the session blocks that many others."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    async with asyncio.timeout(LIMIT_SECONDS):
        while await session.fetchval(blocked) < others:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)


async def until_waiting(session: Session, sessions: int = 1) -> None:
    """Wait until that many sessions of the database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(LIMIT_SECONDS):
        while await session.fetchval(waiting) < sessions:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)


class Notifications:
    """The notifications of commits, in order."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[str] = asyncio.Queue()

    def add(self, connection: object, process: int, channel: str, payload: object) -> None:
        self._heard.put_nowait(str(payload))

    async def next(self) -> str:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._heard.get()

    @property
    def silent(self) -> bool:
        return self._heard.empty()


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[Notifications]:
    """Listen on the channel of the log."""
    notifications = Notifications()
    async with plain_connection(url) as connection:
        callback: Any = notifications.add
        await connection.add_listener(CHANNEL, callback)
        yield notifications
        await connection.remove_listener(CHANNEL, callback)


@asynccontextmanager
async def silenced_notifications(session: Session) -> AsyncGenerator[None]:
    """Suppress all notifications of commits."""
    # Created first and never dropped: concurrent commits find one of the two, the system's first.
    await session.execute("CREATE OR REPLACE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''")
    await session.execute("ALTER FUNCTION pg_catalog.pg_notify(text, text) RENAME TO pg_notify_silenced")
    try:
        yield
    finally:
        await session.execute("ALTER FUNCTION pg_catalog.pg_notify_silenced(text, text) RENAME TO pg_notify")
