"""Revisions: one for each commit, gapless, in commit order, whoever writes."""

import asyncio
import random

import asyncpg
import pytest

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_service_pb2 import CreateConfigurationRequest
from tests.postgres import plain_connection
from tests.service import Service, struct
from tests.storage.reading import (
    LIMIT_SECONDS,
    Session,
    application,
    changes,
    changes_after,
    configuration,
    head,
    listening,
    revisions,
)


async def test_the_history_begins_at_revision_0(psql: Session) -> None:
    assert await head(psql) == 0
    assert await changes(psql) == []


async def test_every_commit_takes_the_next_revision(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web")
    await psql.execute("""UPDATE configurations SET config = '{"a": 1}'""")
    await psql.execute("DELETE FROM configurations")
    log = await changes(psql)
    assert [(change["revision"], change["kind"], change["operation"]) for change in log] == [
        (1, "APPLICATION", "CREATED"),
        (2, "CONFIGURATION", "CREATED"),
        (3, "CONFIGURATION", "UPDATED"),
        (4, "CONFIGURATION", "DELETED"),
    ]
    assert await head(psql) == 4
    assert await revisions(psql) == [1, 2, 3, 4]


async def test_every_commit_is_notified_once_with_its_revision(psql: Session, database_url: str) -> None:
    async with listening(database_url) as notifications:
        await application(psql)
        async with psql.transaction():
            await configuration(psql, "web")
            await configuration(psql, "db")
            await psql.execute("UPDATE applications SET comments = 'x'")
        await psql.execute("DELETE FROM configurations")
        assert [await notifications.next() for _ in range(3)] == ["1", "2", "3"]
        # Earlier notifications have arrived before this one.
        await psql.execute("SELECT pg_notify('configsvc_changes', 'end')")
        assert await notifications.next() == "end"
        assert notifications.silent


async def test_all_that_one_commit_changed_shares_its_revision(psql: Session) -> None:
    async with psql.transaction():
        await application(psql, "shop")
        await application(psql, "bank")
        await configuration(psql, "web")
        await psql.execute("UPDATE configurations SET comments = 'one'")
        await psql.execute("UPDATE configurations SET comments = 'two'")
    log = await changes(psql)
    assert {change["revision"] for change in log} == {1}
    assert [change["ordinal"] for change in log] == [0, 1, 2, 3, 4]
    assert [change["version"] for change in log] == [1, 1, 1, 2, 3]


async def test_a_statement_of_many_rows_is_one_commit_with_an_ordinal_for_each(psql: Session) -> None:
    await application(psql)
    await psql.execute(
        """INSERT INTO configurations (application, name, config)
        SELECT 'shop', 'c' || number, '{}' FROM generate_series(1, 700) AS number"""
    )
    log = await changes_after(psql, 1)
    assert {change["revision"] for change in log} == {2}
    assert [change["ordinal"] for change in log] == list(range(700))
    assert len({change["resource_id"] for change in log}) == 700


async def test_a_rolled_back_transaction_takes_no_revision_and_logs_nothing(psql: Session, database_url: str) -> None:
    async with listening(database_url) as notifications:
        transaction = psql.transaction()
        await transaction.start()
        await application(psql)
        await transaction.rollback()
        assert await head(psql) == 0
        assert await changes(psql) == []
        await application(psql, "bank")
        assert await notifications.next() == "1"
    assert await revisions(psql) == [1]


async def test_a_rolled_back_savepoint_logs_nothing(psql: Session) -> None:
    async with psql.transaction():
        await psql.execute("SAVEPOINT first")
        await application(psql, "lost")
        await psql.execute("ROLLBACK TO SAVEPOINT first")
        await application(psql, "shop")
        await psql.execute("SAVEPOINT second")
        await application(psql, "lost")
        await psql.execute("ROLLBACK TO SAVEPOINT second")
        await application(psql, "bank")
    log = await changes(psql)
    assert [(change["revision"], change["ordinal"], change["name"]) for change in log] == [
        (1, 0, "shop"),
        (1, 1, "bank"),
    ]


async def test_a_transaction_whose_every_savepoint_is_rolled_back_takes_no_revision(
    psql: Session, database_url: str
) -> None:
    async with listening(database_url) as notifications:
        async with psql.transaction():
            await psql.execute("SAVEPOINT first")
            await application(psql, "lost")
            await psql.execute("ROLLBACK TO SAVEPOINT first")
        assert await head(psql) == 0
        await application(psql)
        assert await notifications.next() == "1"
    assert await revisions(psql) == [1]


async def test_a_statement_that_changes_nothing_logs_nothing(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web", '{"a": 1}')
    before = await head(psql)
    await psql.execute("UPDATE configurations SET config = '{\"a\": 1}', name = name")
    await psql.execute("UPDATE applications SET comments = comments")
    await psql.execute("UPDATE configurations SET comments = 'x' WHERE false")
    await psql.execute("DELETE FROM configurations WHERE false")
    await psql.execute("INSERT INTO applications (name) VALUES ('shop') ON CONFLICT DO NOTHING")
    assert await head(psql) == before
    assert len(await revisions(psql)) == before
    assert await psql.fetchval("SELECT version FROM configurations") == 1


async def test_rows_that_do_not_change_are_left_out_of_a_statement_that_changes_others(psql: Session) -> None:
    await application(psql)
    await configuration(psql, "web", '{"a": 1}')
    await configuration(psql, "db", '{"a": 2}')
    await psql.execute("UPDATE configurations SET config = '{\"a\": 2}'")
    assert [change["name"] for change in await changes_after(psql, 3)] == ["web"]


async def test_an_open_transaction_that_has_changed_rows_holds_no_other_writer_up(
    service: Service, psql: Session
) -> None:
    await service.applications.CreateApplication(CreateApplicationRequest(name="shop"))
    async with psql.transaction():
        await configuration(psql, "slow")
        async with asyncio.timeout(LIMIT_SECONDS):
            created = await service.configurations.CreateConfiguration(
                CreateConfigurationRequest(application=ApplicationRef(name="shop"), name="quick", config=struct({}))
            )
        assert created.revision == 2
    assert [(change["revision"], change["name"]) for change in await changes_after(psql, 1)] == [
        (2, "quick"),
        (3, "slow"),
    ]


async def test_transactions_that_end_out_of_order_are_numbered_in_the_order_of_their_commits(
    psql: Session, database_url: str
) -> None:
    async with plain_connection(database_url) as first, plain_connection(database_url) as second:
        transactions = [connection.transaction() for connection in (first, second)]
        for transaction in transactions:
            await transaction.start()
        await application(first, "began-first")
        await application(second, "began-second")
        await transactions[1].commit()
        await application(psql, "between")
        await transactions[0].commit()
    assert [(change["revision"], change["name"]) for change in await changes(psql)] == [
        (1, "began-second"),
        (2, "between"),
        (3, "began-first"),
    ]


async def test_writers_on_many_connections_yield_gapless_revisions(psql: Session, database_url: str) -> None:
    writers, rounds = 12, 8
    seeds = random.Random(20)  # what they do; when is up to the scheduler

    async def write(number: int, plan: random.Random) -> None:
        async with plain_connection(database_url) as connection:
            for turn in range(rounds):
                transaction = connection.transaction()
                await transaction.start()
                await application(connection, f"a{number}-{turn}")
                for index in range(plan.randrange(4)):
                    await configuration(connection, f"c{index}", application=f"a{number}-{turn}")
                # One in four is rolled back.
                await (transaction.rollback() if plan.randrange(4) == 0 else transaction.commit())

    plans = [random.Random(seeds.random()) for _ in range(writers)]
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*(write(number, plan) for number, plan in enumerate(plans)))
    kept = await psql.fetchval("SELECT count(*) FROM applications")
    assert await revisions(psql) == list(range(1, kept + 1))
    assert await head(psql) == kept
    log = await changes(psql)
    assert len(log) == kept + await psql.fetchval("SELECT count(*) FROM configurations")
    by_revision: dict[int, set[str]] = {}
    for change in log:
        by_revision.setdefault(change["revision"], set()).add(change["application"] or change["name"])
    assert all(len(applications) == 1 for applications in by_revision.values())


async def test_a_reader_that_sees_a_revision_sees_all_before_it(psql: Session, database_url: str) -> None:
    # A reader of the log must find no hole that is filled later.
    writing = True

    async def write(number: int) -> None:
        async with plain_connection(database_url) as connection:
            for turn in range(15):
                await application(connection, f"a{number}-{turn}")

    async def read() -> None:
        while writing:
            found = await revisions(psql)
            assert found == list(range(1, len(found) + 1))
            counted = await psql.fetchrow("SELECT (SELECT revision FROM revision_counter), max(revision) FROM commits")
            assert counted is not None
            assert counted[0] == (counted[1] or 0)

    async with asyncio.timeout(LIMIT_SECONDS):
        reading = asyncio.create_task(read())
        await asyncio.gather(*(write(number) for number in range(6)))
        writing = False
        await reading
    assert await head(psql) == 90


async def test_constraints_made_immediate_take_the_revision_early_and_once(psql: Session) -> None:
    async with psql.transaction():
        await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await application(psql)
        assert await head(psql) == 1
        await configuration(psql, "web")
        await psql.execute("UPDATE configurations SET comments = 'x'")
    log = await changes(psql)
    assert [(change["revision"], change["ordinal"]) for change in log] == [(1, 0), (1, 1), (1, 2)]
    assert await revisions(psql) == [1]


async def test_an_early_revision_is_given_back_with_its_savepoint(psql: Session) -> None:
    async with psql.transaction():
        await psql.execute("SAVEPOINT first")
        await application(psql, "lost")
        await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert await head(psql) == 1
        await psql.execute("ROLLBACK TO SAVEPOINT first")
        assert await head(psql) == 0
        await application(psql, "shop")
    assert [(change["revision"], change["name"]) for change in await changes(psql)] == [(1, "shop")]


async def test_a_failed_commit_takes_no_revision(psql: Session) -> None:
    await application(psql)
    transaction = psql.transaction()
    await transaction.start()
    await configuration(psql, "web")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await psql.execute("DELETE FROM applications")
    await transaction.rollback()
    assert await revisions(psql) == [1]


async def test_a_session_without_synchronous_commit_commits_changes_with_it(psql: Session) -> None:
    await psql.execute("SET synchronous_commit = off")
    async with psql.transaction():
        await application(psql)
        await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert await psql.fetchval("SHOW synchronous_commit") == "on"
        written = await psql.fetchval("SELECT pg_current_wal_insert_lsn()")
    # The commit has returned, so what it depends on has been flushed.
    assert await psql.fetchval("SELECT pg_current_wal_flush_lsn() > $1", written)
    assert await psql.fetchval("SHOW synchronous_commit") == "off"


@pytest.mark.parametrize("level", ["on", "local", "remote_write", "remote_apply"])
async def test_other_levels_of_synchronous_commit_are_left_alone(psql: Session, level: str) -> None:
    await psql.execute(f"SET synchronous_commit = {level}")
    async with psql.transaction():
        await application(psql)
        await psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert await psql.fetchval("SHOW synchronous_commit") == level


async def test_commits_under_an_old_snapshot_leave_nothing_that_the_next_one_has_to_read(
    psql: Session, database_url: str
) -> None:
    await application(psql)
    rows_of_the_head = "SELECT pg_relation_size('commit_order') / current_setting('block_size')::integer"
    async with plain_connection(database_url) as old, old.transaction(isolation="repeatable_read"):
        await head(old)
        for number in range(300):
            await psql.execute("UPDATE applications SET comments = $1", str(number))
        assert await psql.fetchval(rows_of_the_head) == 1
        assert [row["ctid"] for row in await psql.fetch("SELECT ctid FROM commit_order")] == [(0, 1)]
        assert await head(old) == 1
    assert await head(psql) == 301


async def test_a_transaction_that_keeps_its_snapshot_fails_if_others_committed_since(
    psql: Session, database_url: str
) -> None:
    await application(psql)
    async with plain_connection(database_url) as other:
        with pytest.raises(asyncpg.SerializationError):  # noqa: PT012
            async with psql.transaction(isolation="repeatable_read"):
                await head(psql)
                await application(other, "bank")
                await application(psql, "store")
    assert [change["name"] for change in await changes(psql)] == ["shop", "bank"]
    async with psql.transaction(isolation="repeatable_read"):
        await application(psql, "store")
    assert await revisions(psql) == [1, 2, 3]
