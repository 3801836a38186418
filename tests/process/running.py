"""The program as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from tests.service import TRANSPORT, Service, connected

CONFIGSVC = (str(Path(sys.executable).with_name("configsvc")),)
LIMIT_SECONDS = 45.0


class Program:
    """A running `configsvc`, and its output so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))
            self._changed.set()
        self._changed.set()

    @property
    def text(self) -> str:
        """The whole output as one text."""
        return "\n".join(self.lines)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of such an event."""
        entries = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == name]

    async def wait_for(self, name: str, *, times: int = 1) -> dict[str, Any]:
        """Return the first log line of such an event, once there are that many."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self.events(name)) < times:
                assert not self._reading.done(), self.text
                self._changed.clear()
                await self._changed.wait()
        return self.events(name)[0]

    async def wait_for_text(self, text: str) -> None:
        """Wait until the output has the text."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while text not in self.text:
                assert not self._reading.done(), self.text
                self._changed.clear()
                await self._changed.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        """Wait for the end, and return the exit code."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._reading
            return await self.process.wait()


@asynccontextmanager
async def program(
    folder: Path, *arguments: str, command: tuple[str, ...] = CONFIGSVC, **settings: str
) -> AsyncGenerator[Program]:
    """Run the program in a folder without a .env file, with its own CONFIGSVC_* variables."""
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        cwd=folder,
        env={**_environment(), **{f"CONFIGSVC_{name.upper()}": value for name, value in settings.items()}},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Program(process)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await running.exit_code()


def _environment() -> Mapping[str, str]:
    # The benchmark, once it is imported here, has set gRPC's verbosity for itself and for all programs that follow.
    ours = ("CONFIGSVC_", "GRPC_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others if TRANSPORT == "grpcio" else others | {"CONFIGSVC_TRANSPORT": TRANSPORT}


@asynccontextmanager
async def serving(
    folder: Path, database_url: str, *arguments: str, **settings: str
) -> AsyncGenerator[tuple[Program, Service]]:
    """Run `configsvc serve` on a port of its own until it is ready; yield it with stubs."""
    more: Any = settings
    async with program(folder, "serve", *arguments, listen="127.0.0.1:0", database_url=database_url, **more) as running:
        ready = await running.wait_for("ready")
        async with connected(ready["listen"], asyncio.Event()) as service:
            yield running, replace(service, http_address=ready.get("http_listen", ""))


async def output(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the output of a command that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *CONFIGSVC, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=_environment()
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that name a folder on their command line."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
