"""The composition root: settings to a running service, and its orderly end."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from configsvc.applications import Applications
from configsvc.configurations import Configurations
from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.domain.models import DEFAULT_RETENTION, Retention
from configsvc.embedded import embedded_postgres
from configsvc.feed import Feed
from configsvc.housekeeping import keep_house
from configsvc.merged_writes import MergedWrites
from configsvc.rpc.application_service import ApplicationServicer
from configsvc.rpc.configuration_service import ConfigurationServicer
from configsvc.rpc.server import AddressInUseError, Server, build_server
from configsvc.rpc.server_service import ServerServicer
from configsvc.settings import Settings
from configsvc.storage.database import Database, open_database
from configsvc.storage.migrations import DatabaseRefusedError, migrate, pending
from configsvc.watch import Watches
from configsvc.writes import Writes

log = structlog.get_logger()

# How long a database that is just starting is waited for.
DATABASE_LIMIT_SECONDS = 30.0
DATABASE_RETRY_SECONDS = 0.5


class StartError(Exception):
    """The service cannot start; the text tells the operator what to do."""


def check_exposure(settings: Settings) -> None:
    """Raises StartError if the service would be open to the network without being told so."""
    if not settings.insecure and not _is_loopback(settings.listen):
        raise StartError(
            f"{settings.listen} is not a loopback address, and there is no authentication: anyone who reaches it "
            "could read and change everything. Listen on 127.0.0.1, or accept that with --insecure "
            "(CONFIGSVC_INSECURE=true)"
        )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if address.startswith("unix:") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncGenerator[str]:
    """The URL of the database that the settings name, or of the embedded one, started for as long as it is needed."""
    if settings.database_url:
        yield settings.database_url.get_secret_value()
    else:
        async with embedded_postgres(settings.data_dir) as url:
            yield url


async def prepare_database(url: str, *, apply: bool) -> None:
    """Waits for the database and brings it to the newest form, or makes sure that it is. Raises StartError."""
    try:
        missing = await _patiently_migrated(url, apply=apply)
    except DatabaseRefusedError as error:
        raise StartError(f"the database {shown_url(url)} refuses: {error}") from error
    if missing and not apply:
        raise StartError(f"the database lacks migrations ({', '.join(missing)}): run configsvc migrate")
    log.info("database is ready", database=shown_url(url), migrated=list(missing))


async def _patiently_migrated(url: str, *, apply: bool) -> tuple[str, ...]:
    give_up = time.monotonic() + DATABASE_LIMIT_SECONDS
    while True:
        try:
            return await (migrate(url) if apply else pending(url))
        except DatabaseUnavailableError as error:
            if time.monotonic() > give_up:
                raise StartError(f"the database {shown_url(url)} does not answer: {error.__cause__!r}") from error
            log.warning("waiting for the database", database=shown_url(url), error=repr(error.__cause__))
            await asyncio.sleep(DATABASE_RETRY_SECONDS)


def shown_url(url: str) -> str:
    """The URL without passwords, wherever it carries them."""
    parts = urlsplit(url)
    if parts.password:
        parts = parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@"))
    return parts._replace(query=re.sub(r"(password=)[^&]*", r"\1***", parts.query)).geturl()


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP; a second one ends it without grace.

    Raises StartError, CancelledError if it was told to stop before it served, or the error of a background task.
    """
    check_exposure(settings)
    this_task = asyncio.current_task()
    assert this_task is not None
    _on_signals(this_task.cancel)
    async with database_url(settings) as url:
        await prepare_database(url, apply=settings.migrate)
        stop = asyncio.Event()

        def first_signal() -> None:
            stop.set()
            _on_signals(this_task.cancel)

        def started(_: Server) -> None:
            _on_signals(first_signal)

        await run_service(
            url,
            settings.listen,
            grace_seconds=settings.shutdown_grace_seconds,
            retention=Retention(days=settings.history_days, versions=settings.history_versions),
            stop=stop,
            started=started,
        )


def _on_signals(callback: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, callback)


async def run_service(
    url: str,
    listen: str,
    *,
    grace_seconds: float,
    stop: asyncio.Event,
    started: Callable[[Server], None],
    retention: Retention = DEFAULT_RETENTION,
) -> None:
    """Serves a migrated database until stop is set, then drains. started is called once the port is open.

    Raises StartError, or the error of a background task.
    """
    async with open_database(url) as database:
        feed = Feed(url)
        writes = Writes(database)
        merged = MergedWrites(database, writes)
        server = _server(listen, database, feed, writes, merged)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(feed.run(), name="feed")
            keeping_house = tasks.create_task(keep_house(database, retention), name="housekeeping")
            showing_health = tasks.create_task(_show_health(server, feed, listen, url), name="health")
            try:
                await server.start()
                started(server)
                await stop.wait()
            finally:
                # Also when one of the tasks has died: who is connected is told, not cut off.
                log.info("stopping", grace_seconds=grace_seconds)
                showing_health.cancel()
                await server.set_serving(False)
                await feed.stop()
                await server.stop(grace_seconds)
                await merged.drain()
                await writes.drain()
                keeping_house.cancel()
                following.cancel()
    log.info("stopped")


def _server(address: str, database: Database, feed: Feed, writes: Writes, merged: MergedWrites) -> Server:
    servicers = {
        "ApplicationService": ApplicationServicer(Applications(database, writes)),
        "ConfigurationService": ConfigurationServicer(Configurations(database, merged), Watches(database, feed)),
        "ServerService": ServerServicer(feed, version("configsvc")),
    }
    try:
        return build_server(servicers, address)
    except AddressInUseError as error:
        raise StartError(str(error)) from error


async def _show_health(server: Server, feed: Feed, listen: str, url: str) -> None:
    """Serves while the database is there."""
    await feed.wait_live()
    await server.set_serving(True)
    log.info(
        "ready",
        listen=_bound_address(listen, server.port),
        database=shown_url(url),
        try_this=_try_this(listen, server.port),
    )
    while True:
        await feed.wait_away()
        await server.set_serving(False)
        log.warning("not serving: the database is away")
        await feed.wait_live()
        await server.set_serving(True)
        log.info("serving again")


def _bound_address(listen: str, port: int) -> str:
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"


def _try_this(listen: str, port: int) -> str:
    beside = Path(sys.executable).with_name("grpcurl")
    command = os.path.relpath(beside) if beside.exists() else "grpcurl"
    if listen.startswith("unix:"):
        return f"{command} -plaintext -unix {listen.removeprefix('unix:')} list"
    return f"{command} -plaintext localhost:{port} list"
