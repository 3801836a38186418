"""The schema of the database, brought up to date from `migrations/`, which a wheel carries inside the package.

Numbered migrations run once each. Then come the files of `functions/`, which hold all trigger functions and run again
whenever they change: see docs/decisions/0031-one-baseline-and-repeatable-functions.md.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

import configsvc
from configsvc.storage.database import CONNECT_TIMEOUT_SECONDS, Session, translated_errors

# The name of functions that are out of date, in a list of migrations.
FUNCTIONS = "functions"

# The caller logs the migrations that were applied.
_silent = logging.Logger("configsvc.migrations", logging.CRITICAL)

# Any number works, as long as all processes use the same.
_ADVISORY_LOCK = 4_846_237_815_902_211
_LOCK_LIMIT_SECONDS = 120

_REFUSALS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)


class DatabaseRefusedError(Exception):
    """A failure that retrying does not cure: a wrong password, an unknown database, a failing migration."""


async def migrate(url: str) -> tuple[str, ...]:
    """Apply all pending migrations and return their names. One process at a time migrates.

    Raises DatabaseUnavailableError if the database does not answer, WriteConflictError if the functions meet a deadlock
    or a lock that lasts, and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        async with asyncio.timeout(_LOCK_LIMIT_SECONDS):
            await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        # A migration that waits for a lock blocks every later statement on the table.
        await connection.execute("SET lock_timeout = '10s'")
        missing = await _missing(connection)
        if set(missing) - {FUNCTIONS}:
            await _apply_migrations(connection)
        if FUNCTIONS in missing:
            await _apply_functions(connection)
        return missing


async def pending(url: str) -> tuple[str, ...]:
    """Return the names of the pending migrations.

    Raises DatabaseUnavailableError if the database does not answer, and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        return await _missing(connection)


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Session]:
    """Yield a connection for migrations. Raises DatabaseUnavailableError and DatabaseRefusedError."""
    with translated_errors():
        try:
            connection = await asyncpg.connect(
                url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings={"search_path": "public"}
            )
        except _REFUSALS as error:
            raise DatabaseRefusedError(str(error)) from error
        except (ValueError, IndexError) as error:
            # The error's text may quote a password that is not percent-encoded.
            raise DatabaseRefusedError("its URL cannot be read") from error
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def _missing(connection: Session) -> tuple[str, ...]:
    names = _migrations()
    applied = await _applied(connection)
    if not applied:
        return (*names, FUNCTIONS)
    if names[0] not in applied:
        raise DatabaseRefusedError(
            f"an earlier, incompatible program created its tables ({min(applied)}): export schemas and configurations "
            "(ExportConfigurations) with that program, and import them here into a new database"
        )
    missing = tuple(name for name in names if name not in applied)
    # A later release migrated this database: its functions must stay.
    if not applied.issubset(names):
        return missing
    if missing or await connection.fetchval("SELECT digest FROM public.function_digest") != _digest():
        return (*missing, FUNCTIONS)
    return ()


async def _applied(connection: Session) -> set[str]:
    if await connection.fetchval("SELECT to_regclass('public._pogo_migration') IS NULL"):
        return set()
    rows = await connection.fetch("SELECT migration_id FROM public._pogo_migration")
    return {row["migration_id"] for row in rows}


async def _apply_migrations(connection: Session) -> None:
    # Imported late: its SQL parser takes longer to load than the rest of a start.
    from pogo_core.error import BadMigrationError  # noqa: PLC0415
    from pogo_core.util.migrate import apply  # noqa: PLC0415

    try:
        await apply(connection, _folder(), schema_name="public", logger=_silent)
    except BadMigrationError as error:
        raise DatabaseRefusedError(f"{error}: {error.__cause__}") from error


async def _apply_functions(connection: Session) -> None:
    async with connection.transaction():
        for path in _function_files():
            try:
                # Other processes may be serving: a deadlock with one, or a lock that lasts, is worth another try.
                with translated_errors():
                    await connection.execute(path.read_text(encoding="utf-8"))
            except asyncpg.PostgresError as error:
                raise DatabaseRefusedError(f"Failed to apply functions/{path.name}: {error}") from error
        await connection.execute("UPDATE public.function_digest SET digest = $1", _digest())


def _folder() -> Path:
    package = Path(configsvc.__file__).parent
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parent / "migrations"


def _migrations() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _folder().glob("*.sql")))


def _function_files() -> list[Path]:
    return sorted(_folder().glob("functions/*.sql"))


def _digest() -> str:
    """Return the digest of the functions, and of the names of the migrations: each new migration applies them again."""
    digest = hashlib.sha256("\n".join(_migrations()).encode())
    for path in _function_files():
        digest.update(f"\n{path.name}\n{path.read_text(encoding='utf-8')}".encode())
    return digest.hexdigest()
