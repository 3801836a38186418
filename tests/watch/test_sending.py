"""Memory of watches, and the encoding of their messages."""

import asyncio
import gc
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED
from configsvc.api import watches
from configsvc.domain import watching
from configsvc.domain.commits import History
from configsvc.domain.errors import RateLimitedError
from configsvc.domain.models import Configuration
from configsvc.limits import unread
from configsvc.limits.slots import Slots, caller_slots
from configsvc.watch.sending import Progress, Sending
from tests.api.calls import create, create_application
from tests.service import LIMIT_SECONDS, Service
from tests.watch.recording import recorded


def contents_in_memory() -> int:
    """Return the number of configurations in memory with their contents."""
    gc.collect()
    return sum(isinstance(one, Configuration) and one.config is not None for one in gc.get_objects())


async def test_a_snapshot_that_waits_for_its_client_is_kept_as_bytes_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    write = Sending.write

    async def counted(self: Sending, encoded: Iterable[bytes]) -> None:
        counts.append(contents_in_memory())
        await write(self, encoded)

    monkeypatch.setattr(Sending, "write", counted)
    await create_application(service)
    await create(service, "web", config={"a": 1})
    before = contents_in_memory()
    async with recorded(service) as recording:
        await recording.until_synced()
    assert len(counts) >= 2
    assert set(counts) == {before}


async def test_what_is_large_is_encoded_beside_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = threading.current_thread()
    made: dict[str, set[bool]] = {"encoded_snapshot": set(), "encoded_commit": set()}

    def noting(name: str) -> None:
        make = getattr(watches, name)

        def noted(*arguments: Any) -> tuple[bytes, ...]:
            made[name].add(threading.current_thread() is here)
            return make(*arguments)

        monkeypatch.setattr(watches, name, noted)

    noting("encoded_snapshot")
    noting("encoded_commit")
    await create_application(service)
    await create(service, "web", config={"a": 1})
    async with recorded(service) as recording:
        await recording.until_synced()
        small = await create(service, "small", config={"a": 1})
        await recording.until_revision(small.revision)
        assert made == {"encoded_snapshot": {True}, "encoded_commit": {True}}
        large = await create(service, "large", config={"a": "a" * watching.LARGE_BYTES})
        found = await recording.until_revision(large.revision)
    async with recorded(service) as recording:
        await recording.until_synced()
    assert made == {"encoded_snapshot": {True, False}, "encoded_commit": {True, False}}
    assert found.messages[-1].events[-1].change == CHANGE_TYPE_CREATED


async def test_a_client_that_does_not_read_loses_its_slot_to_others_of_its_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caller = caller_with_one_slot(monkeypatch)
    async with asyncio.timeout(LIMIT_SECONDS):
        # The same holds for the second generation.
        unread = [asyncio.create_task(sent(caller, asyncio.Event())) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.create_task(sent(caller, None))
        for one in unread:
            with pytest.raises(RateLimitedError, match="slow reader"):
                await one


async def test_a_client_that_does_not_read_keeps_its_slot_while_no_other_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caller, other = caller_with_one_slot(monkeypatch), Slots({"reads": 1, "writes": 1, "watches": 1})
    read = asyncio.Event()
    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        unread = tasks.create_task(sent(caller, read))
        await asyncio.sleep(0)
        for slots in (other, None, None):
            await tasks.create_task(sent(slots, None))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not unread.done()
        read.set()


async def test_a_watch_waits_for_a_slot_as_long_as_the_message_of_another_is_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caller, made = caller_with_one_slot(monkeypatch), asyncio.Event()
    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(sent(caller, None, made))
        await asyncio.sleep(0)
        waiting = tasks.create_task(sent(caller, None))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        made.set()


def caller_with_one_slot(monkeypatch: pytest.MonkeyPatch) -> Slots:
    monkeypatch.setattr("configsvc.limits.slots.UNREAD_MESSAGES", 1)
    monkeypatch.setattr(unread, "UNREAD_SECONDS", 0.0)
    monkeypatch.setattr(unread, "CHECK_SECONDS", 0.0)
    return Slots({"reads": 1, "writes": 1, "watches": 1})


async def sent(slots: Slots | None, read: asyncio.Event | None, made: asyncio.Event | None = None) -> None:
    """Send a large message for a watch, once it is made; its client reads it at some time, or at once."""

    async def encode(_: History, __: object) -> tuple[bytes, ...]:
        raise AssertionError

    async def write(_: bytes) -> None:
        if read:
            await read.wait()

    caller_slots.set(slots)
    sending = Sending(Progress(0), History(""), encode, write, None)
    async with sending.slot():
        if made:
            await made.wait()
        await sending.write((b"",))
