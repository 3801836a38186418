"""The composition root: settings to a running service, and its orderly end."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import structlog
from prometheus_client import CollectorRegistry

from configsvc.access.caller import Guard
from configsvc.access.policy import Bindings
from configsvc.access.role_bindings import RoleBindings
from configsvc.api.access import AccessServicer
from configsvc.api.applications import ApplicationServicer
from configsvc.api.audit import AuditServicer
from configsvc.api.configurations import ConfigurationServicer
from configsvc.api.operations import OperationServicer, OperationsServicer
from configsvc.api.schemas import SchemaServicer
from configsvc.api.status import ServerServicer
from configsvc.api.uploads import Uploads
from configsvc.app.housekeeping import keep_house
from configsvc.app.metrics import CallMetrics, State, new_registry, served_metrics
from configsvc.configurations.applications import Applications
from configsvc.configurations.audit import Audit
from configsvc.configurations.cache import Cache
from configsvc.configurations.history import ConfigurationHistory
from configsvc.configurations.reads import Reads
from configsvc.configurations.use_cases import Configurations
from configsvc.domain.claims import TokenRules
from configsvc.domain.models import Retention
from configsvc.domain.operations import OperationKind
from configsvc.feed.feed import Feed
from configsvc.identity.client_certificates import Certificates
from configsvc.identity.key_sources import KeyFile, KeySource
from configsvc.identity.tokens import Tokens
from configsvc.limits.quotas import Limits, Shares
from configsvc.offload.processes import ProcessPool
from configsvc.offload.threads import LargeAnswers
from configsvc.operations.imports import Imports
from configsvc.operations.migrations import ConfigurationMigrations
from configsvc.operations.runner import OperationRunner
from configsvc.operations.use_cases import Operations
from configsvc.process.certificates import CertificateError, CertificateFiles
from configsvc.process.exposure import check_exposure
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, database_url, on_signals, prepare_database, say_ready
from configsvc.rpc.authentication import Authenticator
from configsvc.rpc.gate import Gate
from configsvc.rpc.server import Address, AddressInUseError, Server, build_server
from configsvc.rpc.tls import server_credentials
from configsvc.schemas.imports import SchemaImporter
from configsvc.schemas.pinned import SnapshotReads
from configsvc.schemas.use_cases import Schemas
from configsvc.schemas.versions import SchemaVersions
from configsvc.storage.database import Database, open_database
from configsvc.validation.checks import Checks
from configsvc.validation.compiled import ValidatorCache
from configsvc.watch.watches import Watches
from configsvc.wire.resources import encoded_configuration
from configsvc.writes.atomic_batch import AtomicBatches
from configsvc.writes.group_commit import GroupCommit
from configsvc.writes.transactions import Writes

log = structlog.get_logger()

# For operations under way to be given back, and for the database to hear of it.
GIVE_BACK_SECONDS = 5.0


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP; a second one ends it without grace.

    Raises StartError, CancelledError if it was told to stop before it served, or the error of a background task.
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
            ready=lambda server: say_ready(_with_ports(settings, server), url),
        )


async def run_service(
    settings: Settings,
    url: str,
    *,
    number: int = 0,
    stop: asyncio.Event,
    started: Callable[[Server], None] = lambda _: None,
    ready: Callable[[Server], None] = lambda _: None,
) -> None:
    """Serves the migrated database of the URL until stop is set, then drains.

    started is called once the port is open, ready when it serves for the first time. Of several workers each is such a
    service, with a number from 0 on, on the same port. Raises StartError, or the error of a background task.
    """
    registry = new_registry()
    async with (
        open_database(url, workers=settings.workers) as database,
        ProcessPool.open() as pool,
        ProcessPool.open() as checking_pool,
        _shown_metrics(registry, settings.metrics_listen, number),
    ):
        parts = _parts(settings, database, url, pool, Checks(checking_pool))
        server = _server(settings, parts, registry)
        async with asyncio.TaskGroup() as tasks:
            retention = Retention(days=settings.history_days, versions=settings.history_versions)
            background = [
                tasks.create_task(parts.feed.run(), name="feed"),
                tasks.create_task(keep_house(database, retention), name="housekeeping"),
                tasks.create_task(pool.end_when_idle(), name="process pool"),
                tasks.create_task(checking_pool.end_when_idle(), name="process pool of checks"),
            ]
            if parts.tokens:
                background.append(tasks.create_task(parts.tokens.run(), name="keys of the identity provider"))
            running_operations = tasks.create_task(parts.runs.run(), name="operations")
            showing_health = tasks.create_task(_show_health(server, parts.feed, ready), name="health")
            try:
                await server.start()
                started(server)
                await stop.wait()
            finally:
                # Also when one of the tasks has died: who is connected is told, not cut off.
                log.info("stopping", grace_seconds=settings.shutdown_grace_seconds)
                showing_health.cancel()
                await _drain(server, parts, settings.shutdown_grace_seconds)
                await asyncio.wait((running_operations,), timeout=GIVE_BACK_SECONDS)
                for task in (running_operations, *background):
                    task.cancel()
    log.info("stopped")


async def _drain(server: Server, parts: "Parts", grace_seconds: float) -> None:
    """Ends what callers have begun, and gives back the operations that run."""
    parts.runs.stop()
    parts.operations.stop()
    await server.set_serving(False)
    await parts.feed.stop()
    await server.stop(grace_seconds)
    await parts.merged.drain()
    await parts.writes.drain()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the server and the background tasks work with."""

    database: Database
    pool: ProcessPool
    cache: Cache
    bindings: Bindings
    feed: Feed
    tokens: Tokens | None
    writes: Writes
    joint: AtomicBatches
    merged: GroupCommit
    operations: Operations
    runs: OperationRunner
    imports: Imports
    migrations: ConfigurationMigrations


def _parts(settings: Settings, database: Database, url: str, pool: ProcessPool, checks: Checks) -> Parts:
    cache = Cache(settings.cache_megabytes * 1024 * 1024)
    bindings = Bindings(None if settings.auth == "none" else frozenset(filter(None, settings.admins.split(","))))
    writes = Writes(database)
    joint = AtomicBatches(writes, ValidatorCache(), checks)
    imports = Imports(database, writes, pool)
    migrations = ConfigurationMigrations(database, writes, pool)
    carriers = {
        OperationKind.IMPORT_CONFIGURATIONS: imports.execute,
        OperationKind.MIGRATE_CONFIGURATIONS: migrations.execute,
    }
    return Parts(
        database=database,
        pool=pool,
        cache=cache,
        bindings=bindings,
        feed=Feed(url, cache, bindings),
        tokens=_tokens(settings),
        writes=writes,
        joint=joint,
        merged=GroupCommit(database, joint),
        operations=Operations(database),
        runs=OperationRunner(database, url, carriers),
        imports=imports,
        migrations=migrations,
    )


def _server(settings: Settings, parts: Parts, registry: CollectorRegistry) -> Server:
    """The server with all that it serves, and metrics of both."""
    reads = Reads(parts.database, parts.feed, parts.cache, encoded_configuration)
    large = LargeAnswers()
    watches = Watches(parts.database, parts.feed)
    shares = Shares(_limits(settings), parts.database.share)
    servicers = _servicers(parts, reads, watches, large, shares)
    calls = CallMetrics()
    try:
        certificates = Certificates() if "mtls" in settings.ways else None
        gate = Gate(Authenticator(parts.tokens, certificates), parts.bindings, shares)
        server = build_server(
            servicers,
            gate,
            _addresses(settings),
            calls,
            shared_port=settings.workers > 1,
            connection_age_seconds=settings.connection_age_seconds,
        )
    except (AddressInUseError, CertificateError) as error:
        raise StartError(str(error)) from error
    state = State(
        calls=calls,
        in_flight=server.in_flight,
        watches=watches,
        feed=parts.feed,
        cache=parts.cache,
        reads=reads,
        writes=parts.writes,
        merged_writes=parts.merged,
        validators=parts.joint.validators,
        tokens=parts.tokens,
        database=parts.database,
    )
    registry.register(state)
    return server


def _servicers(parts: Parts, reads: Reads, watches: Watches, large: LargeAnswers, shares: Shares) -> dict[str, object]:
    """What answers the calls, by the names of the services."""
    database, writes = parts.database, parts.writes
    snapshots = SnapshotReads(database, parts.joint.checks)
    return {
        "ApplicationService": ApplicationServicer(Applications(database, writes, reads)),
        "ConfigurationService": ConfigurationServicer(
            Configurations(database, parts.merged, parts.joint, reads),
            ConfigurationHistory(database),
            watches,
            large,
            Uploads(parts.imports, parts.pool),
            shares,
            Guard(database),
        ),
        "OperationService": OperationServicer(parts.operations),
        "Operations": OperationsServicer(parts.operations),
        "SchemaService": SchemaServicer(
            Schemas(database, writes),
            SchemaVersions(database, writes, reads, snapshots),
            SchemaImporter(database, writes, reads, snapshots),
            parts.migrations,
        ),
        "AuditService": AuditServicer(Audit(database)),
        "AccessService": AccessServicer(RoleBindings(database, writes, parts.feed)),
        "ServerService": ServerServicer(parts.feed, version("configsvc")),
    }


def _limits(settings: Settings) -> Limits:
    return Limits(
        calls_per_second=settings.calls_per_second,
        calls_burst=settings.calls_burst,
        calls_at_once=settings.calls_at_once,
        watches_per_caller=settings.watches_per_caller,
        watches_per_process=settings.watches_per_process,
    )


def _addresses(settings: Settings) -> tuple[Address, ...]:
    """Where the server listens. An address asks every client for a certificate or none. Raises CertificateError."""
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return (Address(listen=settings.listen, credentials=None),)
    files = CertificateFiles(settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file)
    only_certificates = settings.ways == frozenset(("mtls",))
    first = Address(
        listen=settings.listen, credentials=server_credentials(files, client_certificates=only_certificates)
    )
    if settings.mtls_listen is None:
        return (first,)
    return (
        first,
        Address(listen=settings.mtls_listen, credentials=server_credentials(files, client_certificates=True)),
    )


def _tokens(settings: Settings) -> Tokens | None:
    if "oidc" not in settings.ways:
        return None
    rules = TokenRules(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        user_claim=settings.oidc_user_claim,
        groups_claim=settings.oidc_groups_claim,
        leeway_seconds=settings.oidc_leeway_seconds,
    )
    return Tokens(rules, _key_source(settings))


def _key_source(settings: Settings) -> KeySource:
    if settings.oidc_jwks_file:
        return KeyFile(settings.oidc_jwks_file).read
    # Imported late: its HTTP client takes a sixth of the time in which all others load.
    from configsvc.identity.discovery import Provider, trusted_certificates  # noqa: PLC0415

    try:
        return Provider(settings.oidc_issuer, trusted_certificates(settings.oidc_ca_file)).read
    except OSError as error:
        raise StartError(f"the certificates in {settings.oidc_ca_file} cannot be read: {error}") from error


@asynccontextmanager
async def _shown_metrics(registry: CollectorRegistry, listen: str | None, number: int) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        if listen:
            host, _, port = listen.rpartition(":")
            # Every worker has its own, beside those of the others.
            own_port = int(port) + number if int(port) else 0
            try:
                bound = await stack.enter_async_context(served_metrics(registry, host.strip("[]"), own_port))
            except (OSError, OverflowError) as error:
                raise StartError(f"cannot serve metrics on {host}:{own_port}: {error}") from error
            log.info("serving metrics", listen=f"{host}:{bound}")
        yield


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


def _with_ports(settings: Settings, server: Server) -> Settings:
    """The settings with the numbers that port 0 stands for."""
    listens = (listen for listen in (settings.listen, settings.mtls_listen) if listen)
    bound = [_bound_address(listen, port) for listen, port in zip(listens, server.ports, strict=True)]
    return settings.model_copy(update={"listen": bound[0], "mtls_listen": bound[1] if len(bound) > 1 else None})


def _bound_address(listen: str, port: int) -> str:
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
