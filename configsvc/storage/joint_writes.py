"""What writes of one transaction are about, found and then locked: in one order for all who wait for rows, applications
before schemas, those before configurations, and each of them by id.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from configsvc.domain.models import ApplicationRef, Configuration, ConfigurationRef, IdRef, KeyRef, NameRef
from configsvc.domain.scope import Scope
from configsvc.domain.writes import Owner
from configsvc.storage.configurations import configuration_of
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

_SQL = queries("joint_writes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """A configuration as it was before it was locked: what else has to be locked, and how much is to be read."""

    id: str
    application_id: str
    application: str
    name: str
    schema: str | None
    config_bytes: int


async def find(connection: Connection, refs: Sequence[ConfigurationRef]) -> dict[ConfigurationRef, Glimpse]:
    """Those of the configurations that exist."""
    keys = [(ref.application, ref.name) if isinstance(ref, KeyRef) else (None, None) for ref in refs]
    rows = await connection.fetch(
        _SQL["find"],
        [ref.id if isinstance(ref, IdRef) else None for ref in refs],
        [application for application, _ in keys],
        [name for _, name in keys],
    )
    return {
        refs[row["place"] - 1]: Glimpse(
            id=row["id"],
            application_id=row["application_id"],
            application=row["application"],
            name=row["name"],
            schema=row["schema"],
            config_bytes=row["config_bytes"],
        )
        for row in rows
    }


async def share_applications(
    connection: Connection, refs: Collection[ApplicationRef], scope: Scope
) -> dict[ApplicationRef, Owner]:
    """Those of the applications that exist, and are in scope; waits for who renames or deletes
    one.
    """
    rows = await connection.fetch(
        _SQL["share_applications"],
        [ref.id for ref in refs if isinstance(ref, IdRef)],
        [ref.name for ref in refs if isinstance(ref, NameRef)],
        scope.ids,
    )
    by_ref: dict[ApplicationRef, Owner] = {}
    for row in rows:
        owner = Owner(id=row["id"], name=row["name"])
        by_ref[IdRef(id=owner.id)] = by_ref[NameRef(name=owner.name)] = owner
    return by_ref


async def lock(
    connection: Connection, ids: Collection[str], *, with_config: Collection[str]
) -> dict[str, Configuration]:
    """Those of the configurations that still exist, by id; waits for who changes one."""
    rows = await connection.fetch(_SQL["lock"], list(ids), list(with_config))
    return {row["id"]: configuration_of(row) for row in rows}


async def outgrown(connection: Connection, configs: Sequence[str]) -> set[int]:
    """Which of the JSON texts are larger than the database keeps, as it writes them."""
    return {row["place"] - 1 for row in await connection.fetch(_SQL["outgrown"], configs)}
