"""Faults between the service, PostgreSQL and their network: a context for each, over at its end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from tests.postgres import plain_connection, terminate
from tests.proxy import Proxy, Way
from tests.robustness.server import OwnServer
from tests.storage.reading import Session

LIMIT_SECONDS = 30.0
SLOW_SECONDS = (0.0, 0.1)
EVERYTHING = "applications, configurations, change_records, commits, requests, commit_order"


async def kill_connections(session: Session, application_name: str) -> None:
    """End the other sessions whose name has this prefix, as soon as there are any."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await terminate(session, application_name):  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)


async def feeds_of(session: Session) -> set[int]:
    """Return the sessions in which feeds read the log."""
    rows = await session.fetch(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'configsvc feed' AND datname = current_database()"
    )
    return {row["pid"] for row in rows}


@asynccontextmanager
async def half_open(session: Session, proxy: Proxy) -> AsyncGenerator[None]:
    """Make all present connections half-open; at the end, wait until a feed has noticed it.

    A feed says for a moment only that the database is away, but its next session stays.
    """
    before = await feeds_of(session)
    proxy.strand()
    yield
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await feeds_of(session) - before:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.01)


@asynccontextmanager
async def stopped(server: OwnServer) -> AsyncGenerator[None]:
    """Shut PostgreSQL down; start it at the end."""
    await server.stop()
    yield
    await server.start()


@asynccontextmanager
async def crashed(server: OwnServer) -> AsyncGenerator[None]:
    """Stop PostgreSQL as by a loss of power; at its start it recovers."""
    await server.crash()
    yield
    await server.start()


@asynccontextmanager
async def stalled(proxy: Proxy) -> AsyncGenerator[None]:
    """Let the network pass nothing on, and close nothing."""
    proxy.freeze()
    yield
    proxy.restore()


@asynccontextmanager
async def cut(proxy: Proxy) -> AsyncGenerator[None]:
    """Let the network break every connection, and each new one."""
    await proxy.cut()
    yield
    proxy.restore()


@asynccontextmanager
async def one_way(proxy: Proxy, blocked: Way) -> AsyncGenerator[None]:
    """Let the network pass on only what the other direction sends."""
    blocked.flowing.clear()
    yield
    proxy.restore()


@asynccontextmanager
async def slow(proxy: Proxy) -> AsyncGenerator[None]:
    """Let the network delay everything, by varying times."""
    for way in (proxy.to_server, proxy.to_client):
        way.delay = SLOW_SECONDS
    yield
    proxy.restore()


@asynccontextmanager
async def locked(session: Session) -> AsyncGenerator[None]:
    """Lock a table against all reads and writes, as a migration does."""
    async with session.transaction():
        # Of two that lock each other, the other one is given up.
        await session.execute("SET LOCAL deadlock_timeout = '20s'")
        await session.execute(f"LOCK TABLE {EVERYTHING} IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def read_only(session: Session) -> AsyncGenerator[None]:
    """Let PostgreSQL refuse writes."""
    await session.execute("SET default_transaction_read_only = off")
    await session.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await session.execute("SELECT pg_reload_conf()")
    yield
    await session.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await session.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def crowded(database_url: str, session: Session) -> AsyncGenerator[None]:
    """Take all connections that the server allows."""
    async with AsyncExitStack() as others:
        await take_all_connections(database_url, others)
        while await terminate(session, "configsvc"):
            await take_all_connections(database_url, others)
        yield


async def take_all_connections(database_url: str, others: AsyncExitStack) -> None:
    """Connect until the server refuses."""
    while True:
        try:
            await others.enter_async_context(plain_connection(database_url))
        except asyncpg.TooManyConnectionsError:
            return
