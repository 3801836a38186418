"""Reads through the second level: which entries of Redis may be used, and which may not."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from configsvc.configurations.entries import entry_key
from configsvc.domain.models import IdRef, KeyRef, Now
from tests.configurations.numbers import set_number, shop
from tests.configurations.pausing import DatabaseReads
from tests.configurations.processes import process, web
from tests.feed.restoring import go_back_to
from tests.redis import RedisServer, needs_redis, redis_server
from tests.service import LIMIT_SECONDS, POLL_SECONDS
from tests.storage.reading import Session, application, configuration, head

pytestmark = needs_redis

# A process that is ready reads the database for nothing but reads of configurations.
Change = Callable[[Session], Awaitable[object]]


@pytest.fixture
async def redis() -> AsyncGenerator[RedisServer]:
    async with redis_server() as server:
        yield server


@pytest.fixture
async def left(psql: Session, database_url: str, redis: RedisServer) -> str:
    """Return the id of a configuration whose entries, by key and by id, a process has left in Redis."""
    await shop(psql, "web")
    async with process(database_url, redis.url) as one:
        read = await one.read(web())
        assert read.configuration is not None
        one.forget()
        await one.read(IdRef(id=read.configuration.id))
        await redis.until_entries(2)
    return read.configuration.id


async def test_a_new_process_reads_what_another_one_has_left(
    left: str, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    async with process(database_url, redis.url) as two:
        by_key = await two.read(web())
        two.forget()
        by_id = await two.read(IdRef(id=left))
        assert (by_key.number, by_id.number) == (0, 0)
        assert by_key.revision == by_id.revision == two.feed.revision == 2
        assert two.count("used") == 2
    assert reads.begun == 0


async def test_both_forms_of_a_content_have_entries_of_their_own(
    left: str, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    now = Now(min_revision=0, latest=False)
    async with process(database_url, redis.url) as two:
        from_database = await two.reads.get(IdRef(id=left), now, as_text=True)
        await redis.until_entries(3)
        two.forget()
        from_redis = await two.reads.get(IdRef(id=left), now, as_text=True)
        assert from_redis == from_database
        assert b'{"n": 0}' in from_redis.encoded
        assert two.count("used") == 1
    assert reads.begun == 1


async def test_an_answer_is_that_of_the_database(
    left: str, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    async with process(database_url, redis.url) as two:
        from_redis = await two.read(web())
        await redis.client.flushall()
        two.forget()
        assert await two.read(web()) == from_redis
    assert reads.begun == 1


async def changed(psql: Session) -> None:
    await set_number(psql, 1)


async def renamed(psql: Session) -> None:
    await psql.execute("UPDATE configurations SET name = 'site'")


async def deleted(psql: Session) -> None:
    await psql.execute("DELETE FROM configurations")


async def made_again(psql: Session) -> None:
    await deleted(psql)
    await configuration(psql, "web", '{"n": 7}')


async def replaced(psql: Session) -> None:
    await renamed(psql)
    await configuration(psql, "web", '{"n": 7}')


async def application_renamed(psql: Session) -> None:
    await psql.execute("UPDATE applications SET name = 'store'")


async def changed_among_others(psql: Session) -> None:
    async with psql.transaction():
        await psql.execute("INSERT INTO configurations (application, name, config) VALUES ('shop', 'a', '{}')")
        await changed(psql)
    await configuration(psql, "b")


CHANGES = (changed, renamed, deleted, made_again, replaced, application_renamed, changed_among_others)


async def state(psql: Session, left: str) -> tuple[int | None, int | None]:
    """Return the numbers of the configurations that are shop:web now, and that have the id."""
    number = "SELECT (config ->> 'n')::integer FROM configurations WHERE "
    by_key = await psql.fetchval(number + "application = 'shop' AND name = 'web'")
    return by_key, await psql.fetchval(number + "id = $1", left)


@pytest.mark.parametrize("change", CHANGES)
async def test_what_changed_after_an_entry_was_written_is_read_anew_by_a_new_process(
    left: str, psql: Session, database_url: str, redis: RedisServer, change: Change
) -> None:
    await change(psql)
    async with process(database_url, redis.url) as two:
        assert ((await two.read(web())).number, (await two.read(IdRef(id=left))).number) == await state(psql, left)
        assert two.count("used") == 0
        assert two.count("unusable") > 0


@pytest.mark.parametrize("change", CHANGES)
async def test_what_changed_after_an_entry_was_written_is_read_anew_by_a_process_that_runs(
    left: str, psql: Session, database_url: str, redis: RedisServer, change: Change
) -> None:
    async with process(database_url, redis.url) as two:
        await change(psql)
        await two.fed(await head(psql))
        assert ((await two.read(web())).number, (await two.read(IdRef(id=left))).number) == await state(psql, left)
        assert two.count("used") == 0


async def test_changes_of_others_leave_an_entry_usable(
    left: str, psql: Session, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    await configuration(psql, "other")
    async with process(database_url, redis.url) as two:
        await configuration(psql, "another")
        await two.fed(4)
        read = await two.read(web())
        assert (read.number, read.revision) == (0, 4)
    assert reads.begun == 0


async def test_an_entry_that_could_not_be_used_is_written_anew(
    left: str, psql: Session, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    await set_number(psql, 1)
    before = await redis.entries()
    async with process(database_url, redis.url) as two:
        await two.read(web())
        async with asyncio.timeout(LIMIT_SECONDS):
            while await redis.entries() == before:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)
    async with process(database_url, redis.url) as three:
        assert (await three.read(web())).number == 1
    assert reads.begun == 1


async def test_an_entry_of_a_revision_that_the_feed_has_not_reached_is_not_used(
    psql: Session, database_url: str, redis: RedisServer
) -> None:
    await shop(psql, "web")
    async with process(database_url, redis.url) as behind, process(database_url, redis.url) as ahead:
        behind.feed.stalled = True
        await ahead.fed(await set_number(psql, 1))
        await ahead.read(web())
        await redis.until_entries(1)
        assert (await behind.read(web())).number == 1
        assert (behind.count("used"), behind.count("unusable")) == (0, 1)


async def test_a_process_reads_its_own_write_before_its_feed_knows_of_it(
    left: str, psql: Session, database_url: str, redis: RedisServer
) -> None:
    async with process(database_url, redis.url) as two:
        two.feed.stalled = True
        revision = await set_number(psql, 1)
        two.reads.require(revision)
        assert (await two.read(web())).number == 1
        assert two.count("used") == 0


@pytest.mark.parametrize("by", ["key", "id"])
async def test_what_was_shown_ahead_of_the_feed_does_not_go_back(
    left: str, psql: Session, database_url: str, redis: RedisServer, by: str
) -> None:
    # Redis has the state from before the change, which is the feed's too.
    async with process(database_url, redis.url) as two:
        two.feed.stalled = True
        await set_number(psql, 1)
        entries = await redis.entries()
        await redis.client.flushall()
        first = web() if by == "key" else IdRef(id=left)
        assert (await two.read(first)).number == 1
        await redis.client.mset(entries)
        for ref in (web(), IdRef(id=left)):
            two.forget()
            assert (await two.read(ref)).number == 1
        assert two.count("used") == 0


async def test_what_was_found_missing_ahead_of_the_feed_does_not_come_back(
    left: str, psql: Session, database_url: str, redis: RedisServer
) -> None:
    async with process(database_url, redis.url) as two:
        two.feed.stalled = True
        await deleted(psql)
        entries = await redis.entries()
        await redis.client.flushall()
        assert (await two.read(web())).number is None
        await redis.client.mset(entries)
        for ref in (web(), IdRef(id=left)):
            two.forget()
            assert (await two.read(ref)).number is None


async def test_min_revision_and_the_latest_state_are_asked_of_the_database_while_the_feed_is_behind(
    left: str, psql: Session, database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.configurations.reads.FEED_LIMIT_SECONDS", 0.01)
    async with process(database_url, redis.url) as two:
        two.feed.stalled = True
        revision = await set_number(psql, 1)
        entries = await redis.entries()
        for min_revision, latest in ((revision, False), (0, True)):
            read = await two.read(web(), min_revision, latest=latest)
            assert (read.number, read.revision) == (1, revision)
            await redis.client.mset(entries)
            two.forget()
        assert two.count("used") == 0


async def test_a_feed_that_stands_still_too_long_is_not_relied_on(
    left: str, psql: Session, database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(database_url, redis.url) as two:
        two.feed.stalled = True
        await set_number(psql, 1)
        monkeypatch.setattr("configsvc.configurations.reads.STALENESS_LIMIT_SECONDS", -1.0)
        assert (await two.read(web())).number == 1


async def test_entries_of_another_installation_are_not_used(
    left: str, psql: Session, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    async with process(database_url, redis.url) as two:
        epoch = two.feed.history.epoch
        key = entry_key(epoch, web(), as_text=False)
        ((foreign, value),) = [one for one in (await redis.entries()).items() if one[0] == key]
        # What another installation calls the same, and the same under the name of this one.
        await redis.client.flushall()
        await redis.client.set(foreign.replace(epoch.encode(), b"7-1-2-3-4"), value)
        assert (await two.read(web())).number == 0
        assert (reads.begun, two.count("missing")) == (1, 1)
        two.forget()
        await redis.client.set(entry_key(epoch, KeyRef(application="shop", name="api"), as_text=False), value)
        assert (await two.read(KeyRef(application="shop", name="api"))).number is None
        assert two.count("unusable") == 1


async def test_an_entry_of_a_history_that_was_given_up_is_not_used_though_its_epoch_is_the_same(
    psql: Session, database_url: str, redis: RedisServer
) -> None:
    await application(psql)
    await configuration(psql, "web", '{"n": 1}')
    async with process(database_url, redis.url) as one:
        await one.read(web())
        await redis.until_entries(1)
        epoch = one.feed.history.epoch
    await go_back_to(psql, 1)
    # The same revision with other contents, as after a restore from a copy.
    await configuration(psql, "web", '{"n": 2}')
    async with process(database_url, redis.url) as two:
        assert (two.feed.history.epoch, two.feed.revision) == (epoch, 2)
        assert (await two.read(web())).number == 2
        assert (two.count("used"), two.count("unusable")) == (0, 1)


async def test_a_process_whose_history_goes_back_uses_no_entry_of_the_old_one(
    left: str, psql: Session, database_url: str, redis: RedisServer
) -> None:
    async with process(database_url, redis.url) as two:
        old = two.feed.history
        await go_back_to(psql, 1)
        async with asyncio.timeout(LIMIT_SECONDS):
            while two.feed.history is old:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)
        await configuration(psql, "web", '{"n": 2}')
        await two.fed(2)
        assert (await two.read(web())).number == 2
        assert (await two.read(IdRef(id=left))).number is None


async def test_callers_at_once_share_one_lookup(left: str, database_url: str, redis: RedisServer) -> None:
    async with process(database_url, redis.url) as two:
        answers = await asyncio.gather(*(two.read(web()) for _ in range(50)))
        assert {answer.number for answer in answers} == {0}
        assert two.count("used") == 1


async def test_lookups_of_one_turn_share_a_round_trip(psql: Session, database_url: str, redis: RedisServer) -> None:
    names = [f"c{number}" for number in range(60)]
    await shop(psql, *names)
    refs = [KeyRef(application="shop", name=name) for name in names]
    async with process(database_url, redis.url) as one:
        await asyncio.gather(*map(one.read, refs))
        await redis.until_entries(60)
    async with process(database_url, redis.url) as two:
        await redis.client.config_resetstat()
        await asyncio.gather(*map(two.read, refs))
        assert two.count("used") == 60
        # One for the first caller, and one for all that came while it was under way.
        assert (await redis.client.info("commandstats"))["cmdstat_mget"]["calls"] <= 3


async def test_a_process_has_two_connections_to_redis(left: str, database_url: str, redis: RedisServer) -> None:
    await redis.client.connection_pool.disconnect()
    async with process(database_url, redis.url) as two:
        await asyncio.gather(*(two.read(KeyRef(application="shop", name=f"c{number}")) for number in range(300)))
        assert len(await redis.client.client_list()) == 2 + 1


async def test_entries_end(left: str, redis: RedisServer) -> None:
    for key in await redis.entries():
        assert 0 < await redis.client.ttl(key) <= 86_400


async def test_an_answer_that_is_too_long_for_redis_is_read_from_the_database(
    psql: Session, database_url: str, redis: RedisServer, reads: DatabaseReads
) -> None:
    await shop(psql, "api")
    await psql.execute(
        "INSERT INTO configurations (application, name, config)"
        " VALUES ('shop', 'web', jsonb_build_object('n', 1, 'text', repeat('x', 300000)))"
    )
    async with process(database_url, redis.url) as one:
        assert (await one.read(web())).number == 1
        await one.read(KeyRef(application="shop", name="api"))
        await redis.until_entries(1)
        assert len(await redis.entries()) == 1
    async with process(database_url, redis.url) as two:
        assert (await two.read(web())).number == 1
    assert reads.begun == 3


async def test_an_old_entry_that_is_used_is_written_anew(
    left: str, psql: Session, database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await redis.entries()
    async with process(database_url, redis.url) as two:
        monkeypatch.setattr(two.recent, "_limit", 4)
        await configuration(psql, "api")
        await configuration(psql, "db")
        await two.fed(4)
        await two.read(web())
        assert two.count("used") == 1
        async with asyncio.timeout(LIMIT_SECONDS):
            while await redis.entries() == before:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(POLL_SECONDS)
    async with process(database_url, redis.url) as three:
        await psql.execute("UPDATE configurations SET comments = 'x' WHERE name = 'api'")
        await three.fed(5)
        read = await three.read(web())
        assert (read.number, read.revision, three.count("used")) == (0, 5, 1)
