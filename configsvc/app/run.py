"""The service of one process: start, serving and graceful shutdown."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from configsvc.aio import running
from configsvc.app.assembly import Engines, Servers, new_engines, new_servers
from configsvc.app.descriptors import watch_descriptors
from configsvc.app.housekeeping import keep_house
from configsvc.app.metrics import new_registry, served_metrics
from configsvc.domain.models import Retention
from configsvc.feed.feed import Feed
from configsvc.limits.slots import connection_turn
from configsvc.offload.processes import ProcessPool
from configsvc.process.exposure import check_exposure
from configsvc.process.settings import Settings
from configsvc.process.sockets import SCHEME, unix_socket
from configsvc.process.startup import StartError, database_url, on_signals, prepare_database, say_ready
from configsvc.storage.database import open_database
from configsvc.validation.checks import Checks

log = structlog.get_logger()

# For running operations to return to the queue, and for the database to record that.
GIVE_BACK_SECONDS = 5.0


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; a second signal ends the process without grace.

    Raises StartError, CancelledError if a signal arrives before it serves, or the error of a background task.
    """
    check_exposure(settings)
    this_task = asyncio.current_task()
    assert this_task is not None
    on_signals(this_task.cancel)
    async with database_url(settings) as url:
        await prepare_database(settings, url)
        stop = asyncio.Event()

        def first_signal() -> None:
            stop.set()
            on_signals(this_task.cancel)

        await run_service(
            settings,
            url,
            stop=stop,
            started=lambda _: on_signals(first_signal),
            ready=lambda servers: say_ready(_with_ports(settings, servers), url),
        )


async def run_service(
    settings: Settings,
    url: str,
    *,
    number: int = 0,
    stop: asyncio.Event,
    started: Callable[[Servers], None] = lambda _: None,
    ready: Callable[[Servers], None] = lambda _: None,
) -> None:
    """Serve the migrated database at the URL until `stop` is set, then drain.

    Calls `started` once the port is open, and `ready` when it serves for the first time. Each worker is such a service
    on the same port, with its own number, counted from 0. Raises StartError, or the error of a background task.
    """
    registry = new_registry()
    async with (
        _own_sockets(settings) as (private, publish),
        open_database(url, workers=settings.workers, turn=connection_turn) as database,
        ProcessPool.open() as pool,
        ProcessPool.open() as checking_pool,
        _metrics_endpoint(registry, settings.metrics_listen, number),
    ):
        engines = new_engines(settings, database, url, pool, Checks(checking_pool))
        servers = new_servers(private, engines, registry)
        publish()
        drained = asyncio.Event()
        async with (
            running(servers.run()) as serving,
            running(_run_background(settings, engines, checking_pool, drained)) as background,
        ):
            try:
                await servers.rpc.start()
                started(servers)
                async with (
                    running(stop.wait()) as stopped,
                    running(_show_health(servers, engines.feed, ready)) as health,
                ):
                    await asyncio.wait((stopped, health, serving, background), return_when=asyncio.FIRST_COMPLETED)
                # Also after a background task failed, so that clients are told instead of cut off.
                delay = settings.drain_delay_seconds if stop.is_set() else 0.0
                await _drain(servers, engines, delay, settings.shutdown_grace_seconds)
                drained.set()
                await asyncio.wait((background,), timeout=GIVE_BACK_SECONDS)
            finally:
                if servers.http:
                    servers.http.cut()
                await servers.rpc.cut()
    log.info("stopped")


async def _run_background(
    settings: Settings, engines: Engines, checking_pool: ProcessPool, drained: asyncio.Event
) -> None:
    """Run the background tasks until the server is drained and running operations are given back.

    One that fails ends the others, and its error is raised.
    """
    retention = Retention(days=settings.history_days, versions=settings.history_versions)
    async with asyncio.TaskGroup() as tasks:
        operations = tasks.create_task(engines.runner.run(), name="operations")
        endless = [
            tasks.create_task(engines.feed.run(), name="feed"),
            tasks.create_task(engines.watches.run(), name="watches"),
            tasks.create_task(watch_descriptors(), name="file descriptors"),
            tasks.create_task(keep_house(engines.database, retention), name="housekeeping"),
            tasks.create_task(engines.pool.end_when_idle(), name="process pool"),
            tasks.create_task(checking_pool.end_when_idle(), name="process pool of checks"),
        ]
        if engines.second_level:
            endless.append(tasks.create_task(engines.second_level.run(), name="second level"))
        if engines.tokens:
            endless.append(tasks.create_task(engines.tokens.run(), name="keys of the identity provider"))
        await drained.wait()
        await asyncio.wait((operations,))
        for task in endless:
            task.cancel()


async def _drain(servers: Servers, engines: Engines, delay_seconds: float, grace_seconds: float) -> None:
    """Refuse new calls, finish running ones, and return running operations to the queue."""
    log.info("stopping", delay_seconds=delay_seconds, grace_seconds=grace_seconds)
    servers.set_serving(False)
    # Everything is still served while load balancers that poll health notice.
    await asyncio.sleep(delay_seconds)
    engines.runner.stop()
    engines.operations.stop()
    if servers.http:
        servers.http.connections.draining = True
    await servers.rpc.drain.hold(grace_seconds)
    if servers.http:
        servers.http.stop_accepting()
    await servers.rpc.stop(grace_seconds, engines.feed.stop)
    if servers.http:
        await servers.http.stop()
    await engines.group_commit.drain()
    await engines.writes.drain()


@asynccontextmanager
async def _own_sockets(settings: Settings) -> AsyncGenerator[tuple[Settings, Callable[[], None]]]:
    """Reserve the unix sockets. Yield settings with addresses to bind, and a function that makes them public."""
    addresses = {"listen": settings.listen, "mtls_listen": settings.mtls_listen}
    with ExitStack() as kept:
        sockets = {
            name: kept.enter_context(unix_socket(address))
            for name, address in addresses.items()
            if address and address.startswith(SCHEME)
        }

        def publish() -> None:
            for one in sockets.values():
                one.publish()

        yield settings.model_copy(update={name: one.address for name, one in sockets.items()}), publish


@asynccontextmanager
async def _metrics_endpoint(registry: CollectorRegistry, listen: str | None, number: int) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        if listen:
            host, _, port = listen.rpartition(":")
            # Each worker has a port of its own.
            own_port = int(port) + number if int(port) else 0
            try:
                bound = await stack.enter_async_context(served_metrics(registry, host.strip("[]"), own_port))
            except (OSError, OverflowError) as error:
                raise StartError(f"cannot serve metrics on {host}:{own_port}: {error}") from error
            log.info("serving metrics", listen=f"{host}:{bound}")
        yield


async def _show_health(servers: Servers, feed: Feed, ready: Callable[[Servers], None]) -> None:
    """Report SERVING whenever the database is available."""
    await feed.wait_live()
    servers.set_serving(True)
    ready(servers)
    while True:
        await feed.wait_away()
        servers.set_serving(False)
        log.warning("not serving: the database is unavailable")
        await feed.wait_live()
        servers.set_serving(True)
        log.info("serving again")


def _with_ports(settings: Settings, servers: Servers) -> Settings:
    """Return the settings with the bound ports instead of port 0."""
    ports = (*servers.rpc.ports, *((servers.http.port,) if servers.http else ()))
    names = [name for name in ("listen", "mtls_listen", "http_listen") if getattr(settings, name)]
    bound = {name: _bound_address(getattr(settings, name), port) for name, port in zip(names, ports, strict=True)}
    return settings.model_copy(update=bound)


def _bound_address(listen: str, port: int) -> str:
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
