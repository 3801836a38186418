"""Many processes and many watches: some are killed, others take over."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.process.running import serving
from tests.robustness.clients import Client, watch_of
from tests.robustness.form import FORM, IS_LONG, PATIENCE_SECONDS
from tests.robustness.stage import judge, playing, watching
from tests.storage.reading import Session, application, head
from tests.watch.changing import commit_one_by_one, fill
from tests.watch.history import read_history

PROJECT = Path(__file__).parents[2]
LIMIT_SECONDS = 900.0 if IS_LONG else 120.0
CROWDS = 2


class Crowd:
    """Many watches in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, command: str) -> dict[str, Any]:
        """Return the crowd's answer to a command."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\n".encode())
        async with asyncio.timeout(LIMIT_SECONDS):
            return json.loads(await self.process.stdout.readline())

    async def until_revision(self, revision: int) -> dict[str, int]:
        """Return the count of each digest of all events, once all watches have reached the revision."""
        answer = await self.ask(f"until {revision}")
        assert not answer["ends"]
        return answer["digests"]


@asynccontextmanager
async def crowd(address: str, count: int) -> AsyncGenerator[Crowd]:
    """Run a process with that many watches from revision 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.robustness.crowd",
        address,
        str(count),
        cwd=PROJECT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Crowd(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.timeout(PATIENCE_SECONDS)
async def test_a_service_that_is_killed_is_replaced_by_the_others(tmp_path: Path, database_url: str) -> None:
    async with (
        serving(tmp_path, database_url, http_listen="127.0.0.1:0") as (killed, first),
        serving(tmp_path, database_url, http_listen="127.0.0.1:0") as (_, second),
        serving(tmp_path, database_url, http_listen="127.0.0.1:0") as (_, third),
        playing(database_url, first, second, third) as stage,
    ):
        watched = [client for client in stage.clients if client.address == first.address]
        assert watched
        killed.signal(signal.SIGKILL)
        await stage.burst()
        for client in watched:
            await client.until(lambda client: bool(client.ends) and client.synced)


@pytest.mark.timeout(PATIENCE_SECONDS)
async def test_many_watches_on_one_process_all_get_every_change_and_an_error_when_it_ends(
    tmp_path: Path, psql: Session, database_url: str
) -> None:
    await application(psql)
    await fill(psql, 100)
    count = FORM.watches // CROWDS
    async with serving(tmp_path, database_url) as (program, service):
        client = Client([service.address], watch_of(after_revision=0))
        async with watching([client]), crowd(service.address, count) as one, crowd(service.address, count) as other:
            await asyncio.gather(one.until_revision(2), other.until_revision(2))
            for number in range(FORM.rounds):
                await commit_one_by_one(psql, 10, prefix=f"round{number}-")
                await fill(psql, 50, prefix=f"fill{number}-")
            revision = await head(psql)
            digests = await asyncio.gather(one.until_revision(revision), other.until_revision(revision))
            assert [list(found.values()) for found in digests] == [[count], [count]]
            assert digests[0].keys() == digests[1].keys()
            await client.until_revision(revision)
            program.signal(signal.SIGTERM)
            for each in (one, other):
                assert (await each.ask("ends"))["ends"] == {"UNAVAILABLE SHUTTING_DOWN": count}
            assert await program.exit_code() == 0
    assert not program.events("grace period over: calls in flight were cancelled")
    judge([client], await read_history(database_url))


async def test_watches_that_come_back_all_at_once_are_all_opened(
    tmp_path: Path, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with serving(tmp_path, database_url) as (_, service), crowd(service.address, FORM.returning) as watches:
        assert list((await watches.until_revision(1)).values()) == [FORM.returning]


async def test_the_watches_of_a_client_that_is_killed_are_ended(
    tmp_path: Path, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with serving(tmp_path, database_url) as (program, service), crowd(service.address, 50) as watches:
        await watches.until_revision(1)
        watches.process.kill()
        await program.wait_for("call", times=50)
    assert {call["code"] for call in program.events("call")} == {"CANCELLED"}
