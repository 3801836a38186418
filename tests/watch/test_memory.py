"""What watches hold, and where their messages are made."""

import asyncio
import gc
import threading
from collections import deque
from typing import Any

import pytest

from configapi.v1.configuration_service_pb2 import ConfigurationEvent
from configsvc import watch
from configsvc.domain.errors import RateLimitedError
from configsvc.domain.models import Configuration
from configsvc.storage.database import ConnectionShare, connection_share
from configsvc.watch import Progress, Sending, WatchMessage
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

    async def counted(self: Sending, encoded: deque[bytes]) -> None:
        held.append(contents_in_memory())
        await write(self, encoded)
        held.append(len(encoded))

    monkeypatch.setattr(Sending, "write", counted)
    await create_application(service)
    await create(service, "web", config={"a": 1})
    before = contents_in_memory()
    async with recorded(service) as recording:
        await recording.until_synced()
    assert len(held) >= 4
    assert set(held) <= {before, 0}


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
        assert made == {"_existing": {False}, "_commit": {True}}
        large = await create(service, "large", config={"a": "a" * watch.LARGE_BYTES})
        found = await recording.until_revision(large.revision)
    assert made == {"_existing": {False}, "_commit": {True, False}}
    assert found.messages[-1].events[-1].type == ConfigurationEvent.TYPE_CREATED


async def test_clients_that_do_not_read_take_places_of_their_own_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configsvc.storage.database.UNREAD_MESSAGES", 1)
    monkeypatch.setattr(watch, "UNREAD_SECONDS", 0.01)
    mine, other = (ConnectionShare(reads=1, writes=1, watches=1) for _ in range(2))
    read = asyncio.Event()

    async def encode(_: WatchMessage) -> tuple[bytes, ...]:
        return ()

    async def unread(_: bytes) -> None:
        await read.wait()

    async def send(share: ConnectionShare | None) -> None:
        connection_share.set(share)
        sending = Sending(Progress(0), encode, unread)
        async with sending.place():
            await sending.write(deque([b""]))

    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(send(mine))
        await asyncio.sleep(0)
        with pytest.raises(RateLimitedError):
            await asyncio.create_task(send(mine))
        for share in (other, None, None):
            tasks.create_task(send(share))
        await asyncio.sleep(0)
        read.set()
        await asyncio.create_task(send(mine))
