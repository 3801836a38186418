"""Helpers that set a database back, as a restore does."""

from tests.postgres import terminate
from tests.storage.reading import (
    Session,
    configuration,
)


async def go_back_to(session: Session, revision: int) -> None:
    """Remove the history after a revision, which only created configurations, and let the feed connect again."""
    async with session.transaction():
        await forget(session, revision)
    await terminate(session, "configsvc feed")


async def forget(session: Session, revision: int) -> None:
    """Take the database back to a revision before the first configuration."""
    await session.execute("SET LOCAL session_replication_role = replica")
    await session.execute(
        "DELETE FROM change_records WHERE commit_id IN (SELECT id FROM commits WHERE revision > $1)", revision
    )
    await session.execute("DELETE FROM commits WHERE revision > $1", revision)
    await session.execute("DELETE FROM configurations")
    await session.execute("SET LOCAL session_replication_role = origin")


async def other_commits(session: Session, count: int) -> None:
    """Make that many commits within the session's transaction, so that nobody sees the history without them."""
    await session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for number in range(count):
        await configuration(session, f"other{number}")
        # A transaction is one commit, unless the owner of the log pretends that it has made none.
        await session.execute("UPDATE commits SET transaction = '0'")
        await session.execute("SELECT nextval('commit_ids')")
