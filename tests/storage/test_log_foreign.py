"""Reading the log for a watch that follows few applications: keys of the others, not their contents."""

import pytest

from configsvc.domain.commits import Position, position_after
from configsvc.domain.errors import RevisionCompactedError
from configsvc.limits.slots import connection_turn
from configsvc.storage import log
from configsvc.storage.database import open_database
from tests.storage.compacting import age, compact_once
from tests.storage.reading import Session, application, configuration, head


async def fill(session: Session) -> tuple[int, int]:
    """Make commits of two applications; return the revisions of the two changes in the small one."""
    await application(session, "small")
    await application(session, "large")
    first = await head(session) + 21
    for number in range(20):
        await configuration(session, f"a{number}", '{"is": "foreign"}', "large")
    await configuration(session, "web", '{"is": "own"}', "small")
    for number in range(20):
        await configuration(session, f"b{number}", '{"is": "foreign"}', "large")
    large = await session.fetchval("SELECT id FROM applications WHERE name = 'large'")
    await session.execute(
        "UPDATE configurations SET application = 'large', application_id = $1 WHERE name = 'web'", large
    )
    return first, await head(session)


async def test_what_other_applications_changed_is_passed_over(
    psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    created, moved = await fill(psql)
    last = await head(psql)
    own = frozenset({await psql.fetchval("SELECT id FROM applications WHERE name = 'small'")})
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        for names in (own, frozenset({"small"})):
            ahead = await log.next_about(connection, position_after(2), last, names)
            assert ahead == position_after(created - 1)
            # It moves to the other application.
            assert await log.next_about(connection, position_after(created), last, names) == position_after(moved - 1)
        # Not beyond the last revision, nor into a commit that has begun, nor past as many records as it reads.
        assert await log.next_about(connection, position_after(2), 10, own) == position_after(9)
        begun = Position(revision=3, ordinal=1)
        assert await log.next_about(connection, begun, last, own) == begun
        monkeypatch.setattr(log, "RECORDS_PASSED_OVER", 5)
        assert await log.next_about(connection, position_after(2), last, own) == position_after(6)


async def test_contents_of_other_applications_are_not_read(psql: Session, database_url: str) -> None:
    created, _ = await fill(psql)
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        parts = (await log.page_from(connection, position_after(2), frozenset({"small"}))).parts
        all_parts = (await log.page_from(connection, position_after(2), None)).parts
    texts = {part.revision: change.config_text for part in parts for change in part.changes}
    assert {revision for revision, text in texts.items() if text is not None} == {created, await head(psql)}
    assert [(part.first, part.next, part.weight) for part in parts] == [
        (part.first, part.next, part.weight) for part in all_parts
    ]
    assert all(change.config_text for part in all_parts for change in part.changes)


async def test_a_compacted_history_is_not_passed_over(psql: Session, database_url: str) -> None:
    await fill(psql)
    last = await head(psql)
    await age(psql, up_to=last)
    await compact_once(database_url)
    async with open_database(database_url, turn=connection_turn) as database, database.read() as connection:
        with pytest.raises(RevisionCompactedError):
            await log.next_about(connection, position_after(2), last, frozenset({"small"}))
