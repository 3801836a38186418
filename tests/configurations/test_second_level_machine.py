"""Any order of writes, reads, lost and old entries, stalled feeds and restarts: each read is judged by the log."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Generator
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from configsvc.configurations.recent_changes import RecentChanges
from configsvc.configurations.second_level import SecondLevel
from configsvc.domain.models import ConfigurationRef, IdRef, KeyRef
from tests.configurations.processes import Process, process
from tests.postgres import cloned_database, plain_connection
from tests.redis import RedisServer, needs_redis, redis_server
from tests.storage.reading import Session

pytestmark = needs_redis

NAMES = ("web", "api", "db")
# The id and the number of each configuration, by application and name.
State = dict[tuple[str, str], tuple[str, int]]
Result = TypeVar("Result")

names = st.sampled_from(NAMES)
readers = st.sampled_from((0, 1))


class World:
    """One database and one Redis, in a loop of their own, for all runs of a test."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.database_url = ""
        self.redis: RedisServer
        self.psql: Session

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    async def open(self, server: str, template: str) -> None:
        enter = self._stack.enter_async_context
        self.database_url = await enter(cloned_database(server, template))
        self.psql = await enter(plain_connection(self.database_url))
        self.redis = await enter(redis_server())

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()


@pytest.fixture(scope="module")
def world(postgres_server: str, template_database: str) -> Generator[World]:
    world = World()
    world.run(world.open(postgres_server, template_database))
    yield world
    world.close()


class Reader:
    """A process, which can be started again, and the newest change of each configuration that it has shown."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stack = AsyncExitStack()
        self.shown: dict[str, int] = {}
        self.process: Process

    async def start(self) -> None:
        await self._stack.aclose()
        self.shown.clear()
        self.process = await self._stack.enter_async_context(process(self._world.database_url, self._world.redis.url))

    async def stop(self) -> None:
        await self._stack.aclose()


class Machine(RuleBasedStateMachine):
    """Two processes, one Redis, and SQL that writes."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.readers = (Reader(world), Reader(world))
        self.application = f"a{uuid.uuid4().hex}"
        self.states: dict[int, State] = {}
        self.ids: list[str] = []
        self.numbers = iter(range(1_000_000))
        self.saved: dict[bytes, bytes] = {}

    @initialize()
    def begin(self) -> None:
        self.world.run(self._begin())

    async def _begin(self) -> None:
        await self.world.redis.client.flushall()
        await self._write("INSERT INTO applications (name) VALUES ($1)", self.application, state={})
        for reader in self.readers:
            await reader.start()

    @property
    def head(self) -> int:
        return max(self.states)

    async def _write(self, statement: str, *arguments: object, state: State | None = None) -> None:
        await self.world.psql.execute(statement, *arguments)
        rows = await self.world.psql.fetch(
            "SELECT application, name, id, (config ->> 'n')::integer AS n FROM configurations WHERE application = $1",
            self.application,
        )
        head = await self.world.psql.fetchval("SELECT revision FROM revision_counter")
        self.states[head] = {(row["application"], row["name"]): (row["id"], row["n"]) for row in rows}
        self.ids += [row["id"] for row in rows if row["id"] not in self.ids]

    @rule(name=names)
    def write(self, name: str) -> None:
        self.world.run(
            self._write(
                "INSERT INTO configurations (application, name, config)"
                " VALUES ($1, $2, jsonb_build_object('n', $3::integer))"
                " ON CONFLICT (application, name) DO UPDATE SET config = excluded.config",
                self.application,
                name,
                next(self.numbers),
            )
        )

    @rule(name=names)
    def delete(self, name: str) -> None:
        if (self.application, name) in self.states[self.head]:
            self.world.run(
                self._write("DELETE FROM configurations WHERE application = $1 AND name = $2", self.application, name)
            )

    @rule(old=names, new=names)
    def rename(self, old: str, new: str) -> None:
        taken = self.states[self.head]
        if (self.application, old) in taken and (self.application, new) not in taken:
            statement = "UPDATE configurations SET name = $3 WHERE application = $1 AND name = $2"
            self.world.run(self._write(statement, self.application, old, new))

    @rule(who=readers, name=names, is_cold=st.booleans(), needs_head=st.booleans(), latest=st.booleans())
    def read_by_key(self, who: int, name: str, is_cold: bool, needs_head: bool, latest: bool) -> None:
        ref = KeyRef(application=self.application, name=name)
        if is_cold:
            self.readers[who].process.forget()
        self.world.run(self._read(self.readers[who], ref, self.head if needs_head else 0, latest=latest))

    @rule(who=readers, which=st.integers(0, 9), is_cold=st.booleans())
    def read_by_id(self, who: int, which: int, is_cold: bool) -> None:
        if is_cold:
            self.readers[who].process.forget()
        if self.ids:
            self.world.run(self._read(self.readers[who], IdRef(id=self.ids[which % len(self.ids)]), 0, latest=False))

    async def _read(self, reader: Reader, ref: ConfigurationRef, min_revision: int, *, latest: bool) -> None:
        least = max(reader.process.feed.revision, self.head if latest else min_revision)
        read = await reader.process.read(ref, min_revision, latest=latest)
        one = read.configuration
        if one is None:
            # A read that finds nothing says no revision.
            assert any(self._expected(ref, revision) is None for revision in range(least, self.head + 1))
            return
        assert least <= read.revision <= self.head
        assert self._expected(ref, read.revision) == (one.id, read.number)
        assert one.revision >= reader.shown.get(one.id, 0)
        reader.shown[one.id] = one.revision

    def _expected(self, ref: ConfigurationRef, revision: int) -> tuple[str, int] | None:
        # Of revisions from before this run, nothing is known here.
        state = self.states.get(revision, {})
        if isinstance(ref, KeyRef):
            return state.get((ref.application, ref.name))
        return next((one for one in state.values() if one[0] == ref.id), None)

    @rule(who=readers)
    def settle(self, who: int) -> None:
        if not self.readers[who].process.feed.stalled:
            self.world.run(self.readers[who].process.fed(self.head))

    @rule(who=readers)
    def stall_feed(self, who: int) -> None:
        self.readers[who].process.feed.stalled = True

    @rule(who=readers)
    def let_feed_go_on(self, who: int) -> None:
        self.readers[who].process.feed.stalled = False

    @rule(who=readers)
    def restart(self, who: int) -> None:
        self.world.run(self.readers[who].start())

    @rule()
    def wait_for_entries(self) -> None:
        self.world.run(asyncio.sleep(0.02))

    @rule()
    def flush(self) -> None:
        self.world.run(self.world.redis.client.flushall())

    @rule()
    def save(self) -> None:
        self.saved = self.world.run(self.world.redis.entries())

    @rule()
    def restore_what_was_saved(self) -> None:
        if self.saved:
            self.world.run(self.world.redis.client.mset(self.saved))

    def teardown(self) -> None:
        for reader in self.readers:
            self.world.run(reader.stop())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reads wait for stalled feeds no longer than needed."""
    monkeypatch.setattr("configsvc.configurations.reads.FEED_LIMIT_SECONDS", 0.01)


def test_no_read_is_older_than_the_feed_or_than_asked_for_whatever_happens_to_redis(world: World) -> None:
    # Its types want a class; it takes whatever makes a machine.
    machines: Any = partial(Machine, world)
    run_state_machine_as_test(machines, settings=settings(max_examples=12, stateful_step_count=40))


def believes_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecentChanges, "is_unchanged", lambda *_: True)


def forgets_what_it_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecondLevel, "forget", lambda *_, **__: None)


def written_after_an_entry(machine: Machine) -> None:
    machine.write("web")
    machine.settle(1)


def shown_ahead_of_the_feed(machine: Machine) -> None:
    machine.settle(1)
    machine.save()
    machine.stall_feed(1)
    machine.write("web")
    machine.flush()
    machine.read_by_key(1, "web", True, False, False)
    machine.restore_what_was_saved()


@pytest.mark.parametrize(
    ("mutant", "story"),
    [(believes_redis, written_after_an_entry), (forgets_what_it_showed, shown_ahead_of_the_feed)],
)
@pytest.mark.parametrize("is_mutant", [False, True])
def test_a_process_that_skips_a_check_is_found_out(
    world: World,
    mutant: Callable[[pytest.MonkeyPatch], None],
    story: Callable[[Machine], None],
    is_mutant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_mutant:
        mutant(monkeypatch)
    machine = Machine(world)
    machine.begin()
    try:
        machine.write("web")
        machine.settle(0)
        machine.read_by_key(0, "web", True, False, False)
        world.run(world.redis.until_entries(1))
        story(machine)
        with pytest.raises(AssertionError) if is_mutant else nullcontext():
            machine.read_by_key(1, "web", True, False, False)
    finally:
        machine.teardown()
