"""Random commits, clients and ends, turn by turn of the event loop: every watch gets all that it selects, once and in
order, and bookmarks that are true.
"""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from configsvc.domain.commits import History
from configsvc.domain.errors import EpochChangedError
from configsvc.domain.models import NameRef
from configsvc.domain.scope import Everything
from configsvc.domain.selection import Selection
from configsvc.domain.watching import LARGE_BYTES
from configsvc.feed import ring
from configsvc.watch import groups
from tests.domain.changes import EVERYTHING, selector
from tests.robustness.form import FORM
from tests.watch.grouped import Client, Stage, staged, turns

MOST_CLIENTS = 8
# As many turns of the event loop as anything here takes.
ALL = 50
MOST = 20 * ALL
SELECTIONS = (EVERYTHING, Selection(selectors=(selector(NameRef(name="shop")),), scope=Everything()))

which = st.integers(0, MOST_CLIENTS - 1)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.closing = AsyncExitStack()
        self.stage: Stage = self.runner.run(self.closing.enter_async_context(staged()))
        self.clients: list[Client] = []
        # Of an earlier history, or cancelled, with what they had received then.
        self.ended: list[tuple[Client, list[tuple[str, int, int]]]] = []

    def teardown(self) -> None:
        try:
            self.check()
        finally:
            self.runner.run(self._close())
            self.runner.close()

    async def _close(self) -> None:
        for client in self.clients:
            assert client.task
            client.task.cancel()
        await turns(ALL)
        await self.closing.aclose()

    @rule(number=st.integers(1, 8))
    def pass_turns(self, number: int) -> None:
        self.runner.run(turns(number))

    @rule(
        owner=st.sampled_from(["shop", "shop", "bank"]),
        size=st.sampled_from([0, 0, 0, LARGE_BYTES + 1]),
        parts=st.sampled_from([1, 1, 1, 3]),
    )
    def commit(self, owner: str, size: int, parts: int) -> None:
        self.stage.commit(owner=owner, size=size, parts=parts)

    @precondition(lambda self: len(self.clients) < MOST_CLIENTS)
    @rule(selection=st.sampled_from(SELECTIONS), reads=st.booleans())
    def watch(self, selection: Selection, reads: bool) -> None:
        async def open_one() -> Client:
            return self.stage.watch(selection, reads=reads)

        self.clients.append(self.runner.run(open_one()))

    @precondition(lambda self: self.clients)
    @rule(which=which)
    def stop_reading(self, which: int) -> None:
        self._chosen(which).reads.clear()

    @precondition(lambda self: self.clients)
    @rule(which=which)
    def read(self, which: int) -> None:
        self._chosen(which).reads.set()

    @precondition(lambda self: self.clients)
    @rule(which=which)
    def send_bookmark(self, which: int) -> None:
        async def now() -> None:
            client = self._chosen(which)
            if client.idle and client.task and not client.task.done():
                client.bookmark()

        self.runner.run(now())

    @precondition(lambda self: self.clients)
    @rule(which=which)
    def cancel(self, which: int) -> None:
        async def now() -> None:
            client = self._chosen(which)
            assert client.task
            client.task.cancel()
            self.clients.remove(client)
            self.ended.append((client, list(client.received)))

        self.runner.run(now())

    @rule()
    def check(self) -> None:
        """Let everybody read, and wait until nothing more happens."""
        for client in self.clients:
            client.reads.set()
        last = self.stage.head
        self.runner.run(self._settle(last))
        assert self.stage.feed.revision == last
        for client in self.clients:
            assert not client.error
            self._check_order(client)
            assert client.parts == self.stage.expected(client, last)
            assert client.progress.events == len(client.parts)
            assert client.progress.member
            assert client.progress.member.reached <= self.stage.feed.end
        for client, before in self.ended:
            assert client.received == before, "it got something after its end"

    async def _settle(self, last: int) -> None:
        await turns(ALL)
        for _ in range(MOST // ALL):
            if all(client.parts == self.stage.expected(client, last) for client in self.clients):
                return
            await turns(ALL)

    def _check_order(self, client: Client) -> None:
        seen: list[tuple[int, int]] = []
        for kind, revision, ordinal in client.received:
            if kind == "part":
                seen.append((revision, ordinal))
            else:
                assert seen == self.stage.expected(client, revision), f"the bookmark {revision} is not true"

    def _chosen(self, which: int) -> Client:
        return self.clients[which % len(self.clients)]


class EndingMachine(Machine):
    """With new histories, which end the watches of the one before."""

    @rule(number=st.integers(0, 3))
    def begin_history(self, number: int) -> None:
        async def now() -> None:
            await turns(number)
            await self.stage.feed._go_to(History("new"), self.stage.head, None)
            self.stage.drop_unread()
            for client in self.clients:
                client.reads.set()
            await turns(MOST)

        self.runner.run(now())
        for client in self.clients:
            assert isinstance(client.error, EpochChangedError) or not client.received
            self._check_order(client)
        self.ended += [(client, list(client.received)) for client in self.clients if client.error]
        self.clients = [client for client in self.clients if not client.error]


@pytest.mark.parametrize("machine", [Machine, EndingMachine])
def test_every_watch_gets_all_that_it_selects_once_and_in_order(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A turn of the event loop for each member, and a log that is soon read from the table.
    monkeypatch.setattr(groups, "STEP_BYTES", 1)
    monkeypatch.setattr(groups, "SLICE_BYTES", 1)
    monkeypatch.setattr(ring, "RING_LIMIT", 3)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=FORM.machine_examples * 5, stateful_step_count=50, deadline=None)
    )
