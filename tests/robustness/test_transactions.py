"""Transactions that stay open, and others that commit beside them."""

from tests.robustness.form import FORM
from tests.robustness.stage import playing, until_delivered
from tests.robustness.traffic import put, read_marks
from tests.service import Service
from tests.storage.reading import Session, head, wait_until_blocked
from tests.watch.changing import fill


async def test_a_transaction_that_stays_open_and_is_rolled_back_leaves_nothing(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            transaction = psql.transaction()
            await transaction.start()
            await put(psql, "shop", ["open"], "open")
            await stage.burst()
            await until_delivered(database_url, stage.clients)
            await transaction.rollback()
    assert "open" not in await read_marks(psql)


async def test_a_transaction_that_stays_open_comes_after_those_that_commit_before_it(
    service: Service, psql: Session, database_url: str
) -> None:
    passed: list[int] = []
    async with playing(database_url, service) as stage:
        for number in range(FORM.rounds):
            async with psql.transaction():
                await put(psql, "shop", ["open"], f"open {number}")
                await stage.burst()
                await until_delivered(database_url, stage.clients)
                passed.append(await head(psql))
    marks = await read_marks(psql)
    for number, revision in enumerate(passed):
        (taken,) = marks[f"open {number}"]
        assert taken > revision


async def test_a_transaction_that_keeps_the_next_revision_and_is_rolled_back_leaves_no_gap(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for _ in range(FORM.rounds):
            transaction = psql.transaction()
            await transaction.start()
            await put(psql, "shop", ["open"], "open")
            await psql.execute("SET CONSTRAINTS assign_revision IMMEDIATE")
            await wait_until_blocked(psql)
            await stage.until_bookmarks()
            await transaction.rollback()
            await stage.burst()
    assert "open" not in await read_marks(psql)


async def test_a_transaction_that_keeps_the_next_revision_and_commits_comes_before_those_that_waited(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for number in range(FORM.rounds):
            async with psql.transaction():
                await put(psql, "shop", ["open"], f"open {number}")
                await psql.execute("SET CONSTRAINTS assign_revision IMMEDIATE")
                await wait_until_blocked(psql)
                await stage.until_bookmarks()
            await stage.burst()
    marks = await read_marks(psql)
    assert all(len(marks[f"open {number}"]) == 1 for number in range(FORM.rounds))


async def test_sessions_of_psql_commit_much_and_little_beside_the_service(
    service: Service, psql: Session, database_url: str
) -> None:
    async with playing(database_url, service) as stage:
        for number in range(3 * FORM.rounds):
            # More than one message holds.
            await fill(psql, 30, prefix=f"large{number}-", size=50_000)
            await fill(psql, 500, prefix=f"many{number}-")
            await psql.execute("DELETE FROM configurations WHERE name LIKE 'many%'")
            await stage.burst()
