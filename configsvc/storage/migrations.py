"""The schema of the database, brought up to date from `migrations/`, which a wheel carries inside the package.

Numbered migrations run once each. Then come the files of `functions/`, which hold all trigger functions and run again
whenever they change: see docs/decisions/0031-one-baseline-and-repeatable-functions.md.
"""

import asyncio
import hashlib
import logging
from pathlib import Path

import asyncpg

import configsvc
from configsvc.storage.database import translated_errors
from configsvc.storage.sessions import Session
from configsvc.storage.start_connections import DatabaseRefusedError, connected, explained

# The name of functions that are out of date, in a list of migrations.
FUNCTIONS = "functions"

# The caller logs the migrations that were applied.
_silent = logging.Logger("configsvc.migrations", logging.CRITICAL)

# Any number works, as long as all processes use the same.
_ADVISORY_LOCK = 4_846_237_815_902_211
_LOCK_LIMIT_SECONDS = 120


async def migrate(url: str) -> tuple[str, ...]:
    """Apply all pending migrations and return their names. One process at a time migrates.

    Raises DatabaseUnavailableError if the database does not answer, WriteConflictError if the functions meet a deadlock
    or a lock that lasts, and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        await _take_turn(connection)
        # A migration that waits for a lock blocks every later statement on the table.
        await connection.execute("SET lock_timeout = '10s'")
        missing = await _missing(connection)
        if set(missing) - {FUNCTIONS}:
            await _apply_migrations(connection)
        if FUNCTIONS in missing:
            await _apply_functions(connection)
        return missing


async def _take_turn(connection: Session) -> None:
    try:
        async with asyncio.timeout(_LOCK_LIMIT_SECONDS):
            await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
    except TimeoutError as error:
        raise DatabaseRefusedError(
            f"another process has been migrating it for {_LOCK_LIMIT_SECONDS} s: wait until it ends, and start again"
        ) from error


async def pending(url: str) -> tuple[str, ...]:
    """Return the names of the pending migrations.

    Raises DatabaseUnavailableError if the database does not answer, and DatabaseRefusedError.
    """
    async with connected(url) as connection:
        return await _missing(connection)


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
    newer = sorted(applied.difference(names))
    if newer:
        raise DatabaseRefusedError(
            f"a newer release of this program has migrated it ({', '.join(newer)}): install that release here"
        )
    missing = tuple(name for name in names if name not in applied)
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
        raise DatabaseRefusedError(f"{error}: {explained(error.__cause__)}") from error
    except asyncpg.PostgresError as error:
        raise DatabaseRefusedError(explained(error)) from error


async def _apply_functions(connection: Session) -> None:
    async with connection.transaction():
        for path in _function_files():
            try:
                # Other processes may be serving: a deadlock with one, or a lock that lasts, is worth another try.
                with translated_errors():
                    await connection.execute(path.read_text(encoding="utf-8"))
            except asyncpg.PostgresError as error:
                raise DatabaseRefusedError(f"failed to apply functions/{path.name}: {explained(error)}") from error
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
