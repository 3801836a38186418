"""What comes before serving, in one process or several: checks, the database, signals; and the line that says so."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.embedded import embedded_postgres
from configsvc.key_sources import is_safe_url
from configsvc.settings import Settings
from configsvc.storage.migrations import DatabaseRefusedError, migrate, pending

log = structlog.get_logger()

# How long a database that is just starting is waited for.
DATABASE_LIMIT_SECONDS = 30.0
DATABASE_RETRY_SECONDS = 0.5


class StartError(Exception):
    """The service cannot start; the text tells the operator what to do."""


def check_exposure(settings: Settings) -> None:
    """Raises StartError if the service would be open to the network without being told so."""
    for address in (settings.listen, settings.metrics_listen):
        if address and not settings.insecure and not _is_loopback(address):
            raise StartError(
                f"{address} is not a loopback address, and there is no authentication: anyone who reaches it "
                f"could {'read and change everything' if address == settings.listen else 'read the metrics'}. "
                "Listen on 127.0.0.1, or accept that with --insecure (CONFIGSVC_INSECURE=true)"
            )


def check_oidc(settings: Settings) -> None:
    """Raises StartError if tokens are to be accepted and it is not said whose."""
    if "oidc" not in settings.auth.split(","):
        return
    if not settings.oidc_issuer:
        raise StartError(
            "CONFIGSVC_AUTH is oidc, and CONFIGSVC_OIDC_ISSUER is not set: it names the provider whose tokens are "
            "accepted, and where its keys are found unless CONFIGSVC_OIDC_JWKS_FILE has them"
        )
    if not settings.oidc_jwks_file and not is_safe_url(settings.oidc_issuer):
        raise StartError(
            "CONFIGSVC_OIDC_ISSUER is not like https://login.example.com, without a password: over http keys are read "
            "from this machine alone. Where they come in another way, name their file in CONFIGSVC_OIDC_JWKS_FILE"
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


def on_signals(callback: Callable[[], object]) -> None:
    """Calls back at SIGTERM, SIGINT and SIGHUP, in place of what was called before."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, callback)


def say_ready(listen: str, url: str, **details: object) -> None:
    """The one line of the log that says that the service serves, and where."""
    log.info("ready", listen=listen, database=shown_url(url), try_this=_try_this(listen), **details)


def _try_this(listen: str) -> str:
    beside = Path(sys.executable).with_name("grpcurl")
    command = os.path.relpath(beside) if beside.exists() else "grpcurl"
    if listen.startswith("unix:"):
        return f"{command} -plaintext -unix {listen.removeprefix('unix:')} list"
    return f"{command} -plaintext localhost:{listen.rpartition(':')[2]} list"
