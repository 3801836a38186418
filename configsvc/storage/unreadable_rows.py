"""Reads around rows that cannot be read: such a row is an error of its own, and the others are shown."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog
from asyncpg import Record

from configsvc.domain.errors import RecordUnreadableError
from configsvc.storage.queries import queries
from configsvc.storage.sessions import Connection
from configsvc.storage.unreadable import UNREADABLE, around
from configsvc.telemetry.families import Families, labelled_counter

log = structlog.get_logger()

_SQL = queries("unreadable_rows")

# Rows that reads of this process met and could not read, by kind.
_met: Counter[tuple[str]] = Counter()


def collect() -> Families:
    """Yield the metric of unreadable rows."""
    text = "Rows that a read met and could not read, by kind of resource."
    yield labelled_counter("unreadable_rows", text, ("kind",), dict(_met))


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The columns that tell which row it is: those of `columns`, or, if they cannot be read either, of `ids`."""

    kind: str
    columns: str
    ids: str


async def fetch_around(connection: Connection, names: Names, statement: str, *arguments: Any) -> list[Record]:
    """Return the rows of a statement, in its order; those that cannot be read have only the columns of names.

    Raises RecordUnreadableError, without a name, if PostgreSQL cannot read a row within a transaction of the caller.
    """
    try:
        return await connection.fetch(statement, *arguments)
    except UNREADABLE as error:
        # The transaction has failed, and can do nothing more.
        if isinstance(error, asyncpg.PostgresError) and connection.is_in_transaction():
            if isinstance(error, asyncpg.InternalServerError):
                raise _unnamed(names.kind, error) from error
            raise
    page = _Page(connection=connection, names=names, statement=statement, arguments=arguments)
    async with _one_snapshot(connection):
        return await page.rows(0, await page.count())


async def fetch_one(
    connection: Connection, names: Names, name: Callable[[Record], str], statement: str, *arguments: Any
) -> Record | None:
    """Return the first row of a statement. Raises RecordUnreadableError, with the name that `name` gives the row."""
    try:
        return await connection.fetchrow(statement, *arguments)
    except UNREADABLE:
        rows = await fetch_around(connection, names, statement, *arguments)
    row = rows[0] if rows else None
    if row is not None and not is_readable(row):
        raise unreadable(names.kind, name(row), row)
    return row


def is_readable(row: Record) -> bool:
    """Return whether the row was read whole."""
    return not row.get("is_unreadable")


def unreadable(kind: str, name: str, row: Record) -> RecordUnreadableError:
    """Return the error of a row that cannot be read, and count it."""
    _met[(kind,)] += 1
    resource_id = row.get("id") or ""
    log.error("a row cannot be read", kind=kind, id=resource_id, version=row.get("version"))
    return RecordUnreadableError(
        kind, name, resource_id=resource_id, application_id=row.get("application_id"), version=row.get("version") or 0
    )


def _unnamed(kind: str, error: asyncpg.PostgresError) -> RecordUnreadableError:
    _met[(kind,)] += 1
    log.error("a row cannot be read", kind=kind, error=str(error))
    return RecordUnreadableError(kind, "that this call needs", resource_id="", application_id=None, version=0)


def readable_rows(names: Names, rows: Iterable[Record]) -> list[Record]:
    """Return the rows that were read whole; count and log the others, which the answer leaves out."""
    whole: list[Record] = []
    left_out: list[dict[str, Any]] = []
    for row in rows:
        if is_readable(row):
            whole.append(row)
        else:
            left_out.append({key: row[key] for key in ("id", "revision", "ordinal", "version") if row.get(key)})
    if left_out:
        _met[(names.kind,)] += len(left_out)
        log.error("rows left out of an answer: they cannot be read", kind=names.kind, rows=left_out)
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """The rows of one statement, read piece by piece."""

    connection: Connection
    names: Names
    statement: str
    arguments: tuple[Any, ...]

    async def count(self) -> int:
        """Return the number of rows."""
        return await self.connection.fetchval(around(_SQL["count"], self.statement), *self.arguments)

    async def rows(self, first: int, count: int) -> list[Record]:
        """Return some of the rows; halve them until the bad one is alone."""
        try:
            return await self._fetch(_SQL["rows"], first, count)
        except UNREADABLE:
            if count <= 1:
                return await self._named(first)
        middle = count // 2
        return await self.rows(first, middle) + await self.rows(first + middle, count - middle)

    async def _named(self, first: int) -> list[Record]:
        try:
            return await self._fetch(_SQL["named"].replace(":names", self.names.columns), first)
        except UNREADABLE:
            return await self._fetch(_SQL["named"].replace(":names", self.names.ids), first)

    async def _fetch(self, outer: str, *place: int) -> list[Record]:
        taken = len(self.arguments)
        # Parameters, not numbers, so that all pieces share a prepared statement.
        placed = outer.replace(":first", f"${taken + 1}::bigint").replace(":count", f"${taken + 2}::bigint")
        # A savepoint: what PostgreSQL cannot read ends a transaction.
        async with self.connection.transaction():
            return await self.connection.fetch(around(placed, self.statement), *self.arguments, *place)


@asynccontextmanager
async def _one_snapshot(connection: Connection) -> AsyncGenerator[None]:
    """Let all statements of the body see the same rows."""
    if connection.is_in_transaction():
        yield
        return
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        yield
