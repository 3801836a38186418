"""A PostgreSQL of one test, which may stop it, kill it and set it back. It writes to disk as in production."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from configsvc.embedded import packaged_binaries
from configsvc.embedded.account import choose_account
from configsvc.embedded.cluster import Cluster
from configsvc.embedded.process import ended, running_postmaster, send
from configsvc.storage.migrations import migrate
from tests.postgres import chosen_binaries

LIMIT_SECONDS = 30.0
DURABLE = {"fsync": "on", "full_page_writes": "on"}


class OwnServer:
    """A server in a folder, with the same URL after every start."""

    def __init__(self, folder: Path, parameters: Mapping[str, str]) -> None:
        self._cluster = Cluster(
            data_dir=folder,
            binaries=chosen_binaries() or packaged_binaries(),
            account=choose_account(folder / "postgres"),
            parameters=parameters,
        )
        self.url = ""

    async def start(self) -> None:
        """Start the server, with recovery if it crashed."""
        self.url = await self._cluster.ensure_running()

    async def stop(self) -> None:
        """Stop the server fast: sessions are told, and their transactions are rolled back."""
        await self._cluster.stop()

    async def crash(self) -> None:
        """Stop the server at once, so that the next start has to recover."""
        postmaster = running_postmaster(self._cluster.data)
        assert postmaster
        send(postmaster.process, signal.SIGQUIT)
        assert await ended(postmaster.process, LIMIT_SECONDS)

    async def copy(self) -> Path:
        """Copy the data of the stopped server."""
        copied = self._cluster.data_dir / "copy"
        await copy_folder(self._cluster.data, copied)
        return copied

    async def put_back(self, copied: Path) -> None:
        """Replace the data of the stopped server by an earlier copy."""
        await run_program("rm", "-r", str(self._cluster.data))
        await copy_folder(copied, self._cluster.data)

    def promote_at_start(self) -> None:
        """Make the next start a recovery that ends in a new timeline, as the promotion of a standby does."""
        signal_file = self._cluster.data / "recovery.signal"
        signal_file.touch()
        if self._cluster.account:
            self._cluster.account.own(signal_file)
        with (self._cluster.data / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
            settings.write("restore_command = 'false'\n")


async def run_program(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


async def copy_folder(source: Path, target: Path) -> None:
    """Copy with owners and modes, which PostgreSQL requires."""
    await run_program("cp", "-a", str(source), str(target))


async def prepare_server(folder: Path) -> None:
    """Leave the data of a stopped server with a migrated database behind."""
    server = OwnServer(folder, {"fsync": "off"})
    await server.start()
    try:
        await migrate(server.url)
    finally:
        await server.stop()


@asynccontextmanager
async def own_server(
    prepared: Path, folder: Path, parameters: Mapping[str, str] = MappingProxyType({})
) -> AsyncGenerator[OwnServer]:
    """Run a copy of the prepared server."""
    await copy_folder(prepared / "postgres", folder / "postgres")
    server = OwnServer(folder, {**DURABLE, **parameters})
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
