"""The log before its compaction, and the part that must remain."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from configsvc.app.housekeeping import compact
from configsvc.domain.models import Retention
from configsvc.limits.slots import connection_turn
from configsvc.storage.database import open_database
from tests.storage.reading import Session

if TYPE_CHECKING:
    from asyncpg import Record

AT_ONCE = Retention(days=0, versions=1)
A_DAY = Retention(days=1, versions=1)

Log = Sequence["Record"]


async def compact_once(url: str, retention: Retention = AT_ONCE) -> None:
    """Compact the log of a database as a process does now and then."""
    async with open_database(url, turn=connection_turn) as database:
        await compact(database, retention)


async def age(session: Session, *, up_to: int) -> None:
    """Make the commits up to the revision two days older."""
    await session.execute("UPDATE commits SET time = time - interval '2 days' WHERE revision <= $1", up_to)


async def compacted_revision(session: Session) -> int:
    return await session.fetchval("SELECT revision FROM compaction")


def kept(log: Log, floor: int, versions: int) -> set[tuple[int, int]]:
    """Return the log positions that must remain: all after the floor, and the newest versions of each resource that
    lives at it.
    """
    positions = {position_of(record) for record in log if record["revision"] > floor}
    for versions_of_one in _since_the_last_deletion(log, floor).values():
        positions |= {position_of(record) for record in versions_of_one[-versions:]}
    return positions


def position_of(record: "Record") -> tuple[int, int]:
    return record["revision"], record["ordinal"]


def state(log: Log, kind: str, revision: int) -> dict[str, "Record"]:
    """Return the resources that exist at a revision, by id, as their newest record."""
    found = _since_the_last_deletion([record for record in log if record["kind"] == kind], revision)
    return {resource_id: versions[-1] for (_, resource_id), versions in found.items() if versions}


def _since_the_last_deletion(log: Log, revision: int) -> dict[tuple[str, str], list["Record"]]:
    found: dict[tuple[str, str], list[Record]] = {}
    for record in log:
        if record["revision"] <= revision:
            versions = found.setdefault((record["kind"], record["resource_id"]), [])
            versions.append(record)
            if record["operation"] == "DELETED":
                versions.clear()
    return found
