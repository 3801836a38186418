"""Rows of role bindings."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from configsvc.domain.access import Grant, Role
from configsvc.storage.queries import queries

if TYPE_CHECKING:
    import asyncpg

    from configsvc.storage.database import Connection

    AnyConnection = Connection | asyncpg.Connection[asyncpg.Record]

_SQL = queries("role_bindings")


async def grants(connection: "AnyConnection") -> tuple[Grant, ...]:
    """What all role bindings give."""
    rows = await connection.fetch(_SQL["all"])
    return tuple(
        Grant(
            principal=row["principal"],
            role=Role[row["role"]],
            application_id=row["application_id"],
            application=row["application"],
        )
        for row in rows
    )


async def existing_applications(connection: "AnyConnection", ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids that applications have."""
    rows = await connection.fetch(_SQL["existing_applications"], list(ids))
    return frozenset(row["id"] for row in rows)


async def applications_of(connection: "AnyConnection", ids: Iterable[str]) -> dict[str, str]:
    """The ids of the applications that configurations belong to, or belonged to last, by their own ids."""
    rows = await connection.fetch(_SQL["applications_of"], list(ids))
    return {row["id"]: row["application_id"] for row in rows}
