"""Compaction of the log, one small step at a time."""

from configsvc.domain.models import Retention
from configsvc.storage.database import Connection
from configsvc.storage.queries import queries

_SQL = queries("compaction")


async def step(connection: Connection, retention: Retention, *, limit: int) -> int | None:
    """Look at and remove at most limit records, continuing where the last step of any process ended.

    Return the number of removed records, or None if nothing is old enough or another process is
    compacting. The compacted revision moves in the same transaction, so that nobody reads a log
    with gaps.
    """
    async with connection.transaction():
        position = await connection.fetchrow(_SQL["take"])
        if position is None:
            return None
        reached = await connection.fetchrow(
            _SQL["remove"], position["revision"], position["ordinal"], retention.days, retention.versions, limit
        )
        assert reached is not None
        if reached["revision"] is None:
            return None
        await connection.execute(
            _SQL["remove_commits"], reached["commit_ids"], position["revision"], reached["revision"]
        )
        await connection.execute(_SQL["move"], reached["revision"], reached["ordinal"])
        return reached["removed"]
