"""Brings a database to the newest form, from the files of `migrations/`, which a wheel carries inside the package."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

import configsvc
from configsvc.storage.database import CONNECT_TIMEOUT_SECONDS, translated_errors

if TYPE_CHECKING:
    AnyConnection = asyncpg.Connection[asyncpg.Record]

# The caller logs what was applied.
_silent = logging.Logger("configsvc.migrations", logging.CRITICAL)

# Any number will do, as long as all processes take the same.
_ADVISORY_LOCK = 4_846_237_815_902_211
_LOCK_LIMIT_SECONDS = 120

_REFUSALS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)


def _folder() -> Path:
    package = Path(configsvc.__file__).parent
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parent / "migrations"


class DatabaseRefusedError(Exception):
    """Waiting will not help: a wrong password, an unknown database, a wrong option, a migration that fails."""


async def migrate(url: str) -> tuple[str, ...]:
    """Applies what is missing, one process at a time; the names of what it applied.

    Raises DatabaseUnavailableError if the database does not answer, and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        async with asyncio.timeout(_LOCK_LIMIT_SECONDS):
            await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        # A migration that waits for a table holds up all who come after it.
        await connection.execute("SET lock_timeout = '10s'")
        return await _apply_missing(connection)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator["AnyConnection"]:
    with translated_errors():
        try:
            connection = await asyncpg.connect(
                url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings={"search_path": "public"}
            )
        except _REFUSALS as error:
            raise DatabaseRefusedError(str(error)) from error
        except (ValueError, IndexError) as error:
            # Its text may quote a password that was written otherwise than it must be.
            raise DatabaseRefusedError("its URL cannot be read") from error
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def _apply_missing(connection: "AnyConnection") -> tuple[str, ...]:
    missing = await _missing(connection)
    if missing:
        # Imported late: its SQL parser takes longer to load than the rest of a start.
        from pogo_core.error import BadMigrationError  # noqa: PLC0415
        from pogo_core.util.migrate import apply  # noqa: PLC0415

        try:
            await apply(connection, _folder(), schema_name="public", logger=_silent)
        except BadMigrationError as error:
            raise DatabaseRefusedError(f"{error}: {error.__cause__}") from error
    return missing


async def _missing(connection: "AnyConnection") -> tuple[str, ...]:
    names = sorted(path.stem for path in _folder().glob("*.sql"))
    if await connection.fetchval("SELECT to_regclass('public._pogo_migration') IS NULL"):
        return tuple(names)
    rows = await connection.fetch("SELECT migration_id FROM public._pogo_migration")
    applied = {row["migration_id"] for row in rows}
    return tuple(name for name in names if name not in applied)


async def pending(url: str) -> tuple[str, ...]:
    """The names of the migrations that the database lacks.

    Raises DatabaseUnavailableError if the database does not answer, and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        return await _missing(connection)
