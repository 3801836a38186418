"""Assembly of one service from its settings."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from configsvc.access.admission import Admission
from configsvc.access.caller import Guard
from configsvc.access.policy import AccessPolicy
from configsvc.access.role_bindings import RoleBindings
from configsvc.api.access import AccessServicer
from configsvc.api.applications import ApplicationServicer
from configsvc.api.audit import AuditServicer
from configsvc.api.configurations import ConfigurationServicer
from configsvc.api.draining import Drain
from configsvc.api.methods import Methods
from configsvc.api.operations import OperationServicer, OperationsServicer
from configsvc.api.schemas import SchemaServicer
from configsvc.api.sources import SourceServicer
from configsvc.api.status import ServerServicer
from configsvc.api.uploads import Uploads
from configsvc.configurations.applications import Applications
from configsvc.configurations.audit import Audit
from configsvc.configurations.cache import Cache
from configsvc.configurations.history import ConfigurationHistory
from configsvc.configurations.reads import Encoding, Reads
from configsvc.configurations.recent_changes import RecentChanges
from configsvc.configurations.second_level import SecondLevel
from configsvc.configurations.sources import Sources
from configsvc.configurations.use_cases import Configurations
from configsvc.domain.claims import TokenRules
from configsvc.domain.connections import ConnectionRules
from configsvc.domain.operations import OperationKind
from configsvc.domain.peers import trusted_proxies
from configsvc.feed.feed import Feed
from configsvc.feed.head import Head
from configsvc.identity.authenticator import Authenticator
from configsvc.identity.key_sources import KeyFile, KeySource
from configsvc.identity.tokens import TokenMetrics, Tokens
from configsvc.limits.quotas import Limits, Quotas
from configsvc.limits.slots import Slots
from configsvc.offload.processes import ProcessPool
from configsvc.offload.threads import LargeAnswers
from configsvc.operations.imports import Imports
from configsvc.operations.migrations import ConfigurationMigrations
from configsvc.operations.runner import OperationRunner
from configsvc.operations.use_cases import Operations
from configsvc.process.certificates import CertificateError, CertificateFiles
from configsvc.process.descriptors import connection_limit
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError
from configsvc.redis.store import RedisStore
from configsvc.redis.url import parse_redis_url
from configsvc.schemas.imports import SchemaImporter
from configsvc.schemas.pinned import SnapshotReads
from configsvc.schemas.use_cases import Schemas
from configsvc.schemas.versions import SchemaVersions
from configsvc.storage.database import Database
from configsvc.telemetry.calls import CallMetrics, InFlight
from configsvc.telemetry.refusals import Refusals
from configsvc.validation.checks import Checks
from configsvc.validation.compiled import ValidatorCache
from configsvc.watch.watches import Watches
from configsvc.wire.configurations import encoded_response, response_as_struct
from configsvc.writes.atomic_batch import AtomicBatches
from configsvc.writes.group_commit import GroupCommit
from configsvc.writes.source_writes import SourceWrites
from configsvc.writes.transactions import Writes

if TYPE_CHECKING:
    from configsvc.app.grpc_servers import GrpcServer
    from configsvc.web.server import HttpServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The engines that the server and the background tasks share."""

    database: Database
    pool: ProcessPool
    cache: Cache
    second_level: SecondLevel | None
    policy: AccessPolicy
    feed: Feed
    watches: Watches
    tokens: Tokens | None
    writes: Writes
    batches: AtomicBatches
    group_commit: GroupCommit
    operations: Operations
    runner: OperationRunner
    imports: Imports
    migrations: ConfigurationMigrations


def new_engines(settings: Settings, database: Database, url: str, pool: ProcessPool, checks: Checks) -> Engines:
    """Return the engines of one service. Raises StartError."""
    cache = Cache(settings.cache_megabytes * 1024 * 1024)
    policy = AccessPolicy(None if settings.auth == "none" else frozenset(filter(None, settings.admins.split(","))))
    recent = RecentChanges()
    feed = Feed(url, (policy, cache, recent) if settings.redis_url else (policy, cache))
    writes = Writes(database)
    batches = AtomicBatches(writes, ValidatorCache(), checks)
    imports = Imports(database, writes, pool)
    migrations = ConfigurationMigrations(database, writes, pool)
    carriers = {
        OperationKind.IMPORT_CONFIGURATIONS: imports.execute,
        OperationKind.MIGRATE_CONFIGURATIONS: migrations.execute,
    }
    return Engines(
        database=database,
        pool=pool,
        cache=cache,
        second_level=_second_level(settings, database, feed, recent),
        policy=policy,
        feed=feed,
        watches=Watches(database, feed),
        tokens=_tokens(settings),
        writes=writes,
        batches=batches,
        group_commit=GroupCommit(database, batches),
        operations=Operations(database),
        runner=OperationRunner(database, url, carriers),
        imports=imports,
        migrations=migrations,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The servers of one process, over the same methods. `http` is None if it is off."""

    rpc: "GrpcServer"
    http: "HttpServer | None"

    async def run(self) -> None:
        """Serve HTTP, if it is on, and look after the connections of gRPC until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.rpc.run(), name="gRPC")
            if self.http:
                tasks.create_task(self.http.run(), name="HTTP")

    def set_serving(self, serving: bool) -> None:
        """Change the health that both servers report."""
        self.rpc.health.set_serving(serving)
        if self.http:
            self.http.health.serving = serving


def new_servers(settings: Settings, engines: Engines, registry: CollectorRegistry) -> Servers:
    """Return the bound servers, with their metrics registered. Raises StartError."""
    encoding = Encoding(
        text=partial(encoded_response, as_text=True),
        struct=partial(encoded_response, as_text=False),
        text_to_struct=response_as_struct,
    )
    reads = Reads(engines.database, engines.feed, engines.cache, encoding, engines.second_level)
    large = LargeAnswers()
    quotas = Quotas(_limits(settings), partial(Slots, engines.database.caller_pools))
    servicers = _servicers(settings, engines, reads, large, quotas)
    methods = _methods(settings, engines, quotas, large)
    try:
        servers = _bound_servers(settings, engines, servicers, methods)
    except CertificateError as error:
        raise StartError(str(error)) from error
    collectors = (
        *(methods.metrics, methods.in_flight, engines.watches, engines.feed, reads, engines.cache),
        *(
            engines.group_commit,
            engines.batches.validators,
            engines.batches.checks,
            TokenMetrics(engines.tokens),
            engines.database,
        ),
    )
    optional = ((servers.http.connections,) if servers.http else (), filter(None, (engines.second_level,)))
    for collector in chain(collectors, *optional):
        registry.register(collector)
    return servers


def _methods(settings: Settings, engines: Engines, quotas: Quotas, large: LargeAnswers) -> Methods:
    return Methods(
        admission=Admission(_authenticator(settings, engines.tokens), engines.policy, quotas),
        metrics=CallMetrics(),
        in_flight=InFlight(),
        drain=Drain(),
        refusals=Refusals(),
        epoch_for=engines.feed.epoch_for,
        large=large,
    )


def _bound_servers(settings: Settings, engines: Engines, servicers: Mapping[str, object], methods: Methods) -> Servers:
    files = _certificate_files(settings)
    rules = ConnectionRules(
        trusted_proxies=trusted_proxies(settings.trusted_proxies),
        shared_port=settings.workers > 1,
        age_seconds=settings.connection_age_seconds,
        # Both doors take their connections from the descriptors of this process.
        most=connection_limit(doors=2 if settings.http_listen else 1),
    )
    # Imported late, as much takes long to load that only some services need.
    if settings.transport == "ngh2":
        from configsvc.app.http2 import http2_server as grpc_server  # noqa: PLC0415
    else:
        from configsvc.app.grpcio import grpcio_server as grpc_server  # noqa: PLC0415

    rpc = grpc_server(settings, servicers, methods, rules, files)
    if not settings.http_listen:
        return Servers(rpc=rpc, http=None)
    from configsvc.app.http import http_server  # noqa: PLC0415
    from configsvc.web.health import HealthPages  # noqa: PLC0415

    health = HealthPages(engines.database, engines.feed, engines.second_level, version("configsvc"))
    http = http_server(settings, servicers, methods, rules, files, health)
    return Servers(rpc=rpc, http=http)


def _authenticator(settings: Settings, tokens: Tokens | None) -> Authenticator:
    if "mtls" not in settings.ways:
        return Authenticator(tokens, None)
    from configsvc.identity.client_certificates import Certificates  # noqa: PLC0415

    return Authenticator(tokens, Certificates())


def _servicers(
    settings: Settings,
    engines: Engines,
    reads: Reads,
    large: LargeAnswers,
    quotas: Quotas,
) -> dict[str, object]:
    """Return the servicers by the names of their services."""
    database, writes = engines.database, engines.writes
    snapshots = SnapshotReads(database, engines.batches.checks)
    return {
        "ApplicationService": ApplicationServicer(Applications(database, writes, reads), engines.feed),
        "ConfigurationService": ConfigurationServicer(
            Configurations(database, engines.group_commit, engines.batches, reads),
            ConfigurationHistory(database),
            engines.watches,
            large,
            Uploads(engines.imports, engines.pool, engines.feed),
            quotas,
            Guard(database),
            engines.feed,
        ),
        "OperationService": OperationServicer(engines.operations),
        "Operations": OperationsServicer(engines.operations, engines.feed),
        "SchemaService": SchemaServicer(
            Schemas(database, writes),
            SchemaVersions(database, writes, reads, snapshots),
            SchemaImporter(database, writes, reads, snapshots),
            engines.migrations,
            engines.feed,
        ),
        "AuditService": AuditServicer(Audit(database), engines.feed),
        "AccessService": AccessServicer(RoleBindings(database, writes, engines.feed), engines.feed),
        "ServerService": ServerServicer(
            engines.feed,
            Head(database),
            engines.watches.registry,
            large,
            version("configsvc"),
            watches_per_caller=settings.watches_per_caller,
            workers=settings.workers,
        ),
        "SourceService": SourceServicer(Sources(database, writes, SourceWrites(engines.batches), reads), engines.feed),
    }


def _second_level(settings: Settings, database: Database, feed: Feed, recent: RecentChanges) -> SecondLevel | None:
    if settings.redis_url is None:
        return None
    store = RedisStore(parse_redis_url(settings.redis_url.get_secret_value()))
    return SecondLevel(store, feed, recent, database)


def _limits(settings: Settings) -> Limits:
    return Limits(
        calls_per_second=settings.calls_per_second,
        calls_burst=settings.calls_burst,
        calls_at_once=settings.calls_at_once,
        watches_per_caller=settings.watches_per_caller,
        watches_per_process=settings.watches_per_process,
    )


def _certificate_files(settings: Settings) -> CertificateFiles | None:
    """Return the files of all addresses; None without TLS. Raises CertificateError."""
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return CertificateFiles(settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file)


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
    # Imported late: the HTTP client takes as long to load as a sixth of everything else.
    from configsvc.identity.discovery import Provider, trusted_certificates  # noqa: PLC0415

    try:
        return Provider(settings.oidc_issuer, trusted_certificates(settings.oidc_ca_file)).read
    except OSError as error:
        raise StartError(f"the certificates in {settings.oidc_ca_file} cannot be read: {error}") from error
