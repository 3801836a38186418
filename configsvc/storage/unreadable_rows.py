"""Pages of configurations some of which cannot be read: the others are still shown."""

from collections.abc import Sequence
from typing import Any

import structlog
from asyncpg import Record

from configsvc.storage.queries import queries
from configsvc.storage.sessions import Connection
from configsvc.storage.unreadable import UNREADABLE, around

log = structlog.get_logger()

_SQL = queries("unreadable_rows")


async def fetch_page(connection: Connection, statement: str, *arguments: Any) -> list[Record]:
    """Return the rows of a page of configurations. Those that cannot be read are logged, and have null comments."""
    try:
        return await connection.fetch(statement, *arguments)
    except UNREADABLE:
        names = await connection.fetch(around(_SQL["names"], statement), *arguments)
    ids = [row["id"] for row in names if row["id"] is not None]
    whole = {row["id"]: row for row in await _whole(connection, statement, arguments, ids)}
    unreadable = [configuration_id for configuration_id in ids if configuration_id not in whole]
    if unreadable:
        log.error("configurations left out of a list: they cannot be read", ids=unreadable)
    return [whole.get(row["id"], row) for row in names]


async def _whole(
    connection: Connection, statement: str, arguments: tuple[Any, ...], ids: Sequence[str]
) -> list[Record]:
    """Return the rows of these ids that can be read; halve the ids until the bad one is alone."""
    if not ids:
        return []
    chosen = around(_SQL["whole"], statement).replace(":ids", f"${len(arguments) + 1}")
    try:
        return await connection.fetch(chosen, *arguments, ids)
    except UNREADABLE:
        if len(ids) == 1:
            return []
    middle = len(ids) // 2
    first = await _whole(connection, statement, arguments, ids[:middle])
    return first + await _whole(connection, statement, arguments, ids[middle:])
