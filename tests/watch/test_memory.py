"""What watches hold, and where their messages are made."""

import asyncio
import gc
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from configapi.v1.configuration_service_pb2 import ConfigurationEvent
from configsvc import places, watch_messages
from configsvc.domain.errors import RateLimitedError
from configsvc.domain.models import Configuration
from configsvc.feed import History
from configsvc.follower import Progress, Sending
from configsvc.storage.database import ConnectionShare, connection_share
from configsvc.wire import watches
from tests.api.calls import create, create_application
from tests.service import LIMIT_SECONDS, Service
from tests.watch.recording import recorded


def contents_in_memory() -> int:
    """How many configurations there are with their contents."""
    gc.collect()
    return sum(isinstance(one, Configuration) and one.config is not None for one in gc.get_objects())


async def test_a_snapshot_that_waits_for_its_client_is_held_as_bytes_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    write = Sending.write

    async def counted(self: Sending, encoded: Iterable[bytes]) -> None:
        held.append(contents_in_memory())
        await write(self, encoded)

    monkeypatch.setattr(Sending, "write", counted)
    await create_application(service)
    await create(service, "web", config={"a": 1})
    before = contents_in_memory()
    async with recorded(service) as recording:
        await recording.until_synced()
    assert len(held) >= 2
    assert set(held) == {before}


async def test_what_is_large_is_encoded_beside_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = threading.current_thread()
    made: dict[str, set[bool]] = {"_existing": set(), "_commit": set()}

    def noting(name: str) -> None:
        make = getattr(watches, name)

        def noted(*arguments: Any) -> tuple[bytes, ...]:
            made[name].add(threading.current_thread() is here)
            return make(*arguments)

        monkeypatch.setattr(watches, name, noted)

    noting("_existing")
    noting("_commit")
    await create_application(service)
    await create(service, "web", config={"a": 1})
    async with recorded(service) as recording:
        await recording.until_synced()
        small = await create(service, "small", config={"a": 1})
        await recording.until_revision(small.revision)
        assert made == {"_existing": {True}, "_commit": {True}}
        large = await create(service, "large", config={"a": "a" * watch_messages.LARGE_BYTES})
        found = await recording.until_revision(large.revision)
    async with recorded(service) as recording:
        await recording.until_synced()
    assert made == {"_existing": {True, False}, "_commit": {True, False}}
    assert found.messages[-1].events[-1].type == ConfigurationEvent.TYPE_CREATED


async def test_a_client_that_does_not_read_gives_its_place_to_others_of_its_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("configsvc.storage.database.UNREAD_MESSAGES", 1)
    monkeypatch.setattr(places, "HELD_SECONDS", 0.01)
    caller = ConnectionShare(reads=1, writes=1, watches=1)
    async with asyncio.timeout(LIMIT_SECONDS):
        unread = asyncio.create_task(sent(caller, asyncio.Event()))
        await asyncio.sleep(0)
        await asyncio.create_task(sent(caller, None))
        with pytest.raises(RateLimitedError, match="does not read"):
            await unread


async def test_a_client_that_does_not_read_keeps_its_place_while_nobody_wants_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("configsvc.storage.database.UNREAD_MESSAGES", 1)
    monkeypatch.setattr(places, "HELD_SECONDS", 0.0)
    caller, other = (ConnectionShare(reads=1, writes=1, watches=1) for _ in range(2))
    read = asyncio.Event()
    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(sent(caller, read))
        await asyncio.sleep(0)
        for share in (other, None, None):
            await tasks.create_task(sent(share, None))
        read.set()


async def sent(share: ConnectionShare | None, read: asyncio.Event | None) -> None:
    """Sends something large for a watch of the caller, whose client reads it at some time, or at once."""

    async def encode(_: History, __: object) -> tuple[bytes, ...]:
        raise AssertionError

    async def write(_: bytes) -> None:
        if read:
            await read.wait()

    connection_share.set(share)
    sending = Sending(Progress(0), History(""), encode, write)
    async with sending.place():
        await sending.write((b"",))
