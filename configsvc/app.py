"""The composition root: settings to a running service, and its orderly end."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version

import structlog

from configsvc.applications import Applications
from configsvc.configurations import Configurations
from configsvc.domain.models import DEFAULT_RETENTION, Retention
from configsvc.feed import Feed
from configsvc.housekeeping import keep_house
from configsvc.merged_writes import MergedWrites
from configsvc.rpc.application_service import ApplicationServicer
from configsvc.rpc.configuration_service import ConfigurationServicer
from configsvc.rpc.server import AddressInUseError, Server, build_server
from configsvc.rpc.server_service import ServerServicer
from configsvc.settings import Settings
from configsvc.start import StartError, check_exposure, database_url, on_signals, prepare_database, say_ready
from configsvc.storage.database import Database, open_database
from configsvc.watch import Watches
from configsvc.writes import Writes

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP; a second one ends it without grace.

    Raises StartError, CancelledError if it was told to stop before it served, or the error of a background task.
    """
    check_exposure(settings)
    this_task = asyncio.current_task()
    assert this_task is not None
    on_signals(this_task.cancel)
    async with database_url(settings) as url:
        await prepare_database(url, apply=settings.migrate)
        stop = asyncio.Event()

        def first_signal() -> None:
            stop.set()
            on_signals(this_task.cancel)

        await run_service(
            url,
            settings.listen,
            grace_seconds=settings.shutdown_grace_seconds,
            retention=Retention(days=settings.history_days, versions=settings.history_versions),
            stop=stop,
            started=lambda _: on_signals(first_signal),
            ready=lambda server: say_ready(_bound_address(settings.listen, server.port), url),
        )


async def run_service(
    url: str,
    listen: str,
    *,
    workers: int = 1,
    grace_seconds: float,
    retention: Retention = DEFAULT_RETENTION,
    stop: asyncio.Event,
    started: Callable[[Server], None] = lambda _: None,
    ready: Callable[[Server], None] = lambda _: None,
) -> None:
    """Serves a migrated database until stop is set, then drains.

    started is called once the port is open, ready when it serves for the first time. Of several workers each is such a
    service, on the same port. Raises StartError, or the error of a background task.
    """
    async with open_database(url, workers=workers) as database:
        feed = Feed(url)
        writes = Writes(database)
        merged = MergedWrites(database, writes)
        server = _server(listen, database, feed, writes, merged, shared_port=workers > 1)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(feed.run(), name="feed")
            keeping_house = tasks.create_task(keep_house(database, retention), name="housekeeping")
            showing_health = tasks.create_task(_show_health(server, feed, ready), name="health")
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


def _server(
    address: str, database: Database, feed: Feed, writes: Writes, merged: MergedWrites, *, shared_port: bool
) -> Server:
    servicers = {
        "ApplicationService": ApplicationServicer(Applications(database, writes)),
        "ConfigurationService": ConfigurationServicer(Configurations(database, merged), Watches(database, feed)),
        "ServerService": ServerServicer(feed, version("configsvc")),
    }
    try:
        return build_server(servicers, address, shared_port=shared_port)
    except AddressInUseError as error:
        raise StartError(str(error)) from error


async def _show_health(server: Server, feed: Feed, ready: Callable[[Server], None]) -> None:
    """Serves while the database is there."""
    await feed.wait_live()
    await server.set_serving(True)
    ready(server)
    while True:
        await feed.wait_away()
        await server.set_serving(False)
        log.warning("not serving: the database is away")
        await feed.wait_live()
        await server.set_serving(True)
        log.info("serving again")


def _bound_address(listen: str, port: int) -> str:
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
