"""The command line as a process, against a service, with settings of its own; also on a terminal."""

import asyncio
import json
import os
import pty
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.process.running import CONFIGSVC, LIMIT_SECONDS, Program

OURS = ("CONFIGSVC_", "GRPC_", "XDG_", "NO_COLOR", "EDITOR", "VISUAL", "TERM", "COLUMNS", "FORCE_COLOR")


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Cli:
    """Runs commands in a folder, which has their settings too."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        settings = {"XDG_CONFIG_HOME": str(self.folder / "settings"), "COLUMNS": "200", "TERM": "xterm"}
        return {**kept, **settings, **self.variables, **more}

    async def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            *CONFIGSVC,
            *arguments,
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                out, err = await process.communicate(stdin.encode())
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        assert process.returncode is not None
        done = Done(process.returncode, out.decode(), err.decode())
        assert "Traceback" not in done.err, done.err
        return done

    async def ok(self, *arguments: str, stdin: str = "", **variables: str) -> Done:
        """Run a command that must succeed."""
        done = await self(*arguments, stdin=stdin, **variables)
        assert done.code == 0, done.err
        return done

    def write(self, name: str, text: str) -> str:
        """Write a file that a command reads."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    @asynccontextmanager
    async def running(self, *arguments: str, **variables: str) -> AsyncGenerator[asyncio.subprocess.Process]:
        """Run a command that does not end by itself, with pipes."""
        process = await asyncio.create_subprocess_exec(
            *CONFIGSVC,
            *arguments,
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def terminal(
        self, *arguments: str, command: Sequence[str] = CONFIGSVC, **variables: str
    ) -> AsyncGenerator["Terminal"]:
        """Run a command on a terminal of its own."""
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments,
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        terminal = Terminal(ours, process)
        try:
            yield terminal
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            terminal.close()


class Terminal:
    """The other end of a terminal."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self.text = ""
        self.process = process
        self._descriptor = descriptor
        self._changed = asyncio.Event()
        self._closed = False
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        except OSError:
            # The other end is closed.
            data = b""
        if not data:
            self._closed = True
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self.text += data.decode(errors="replace")
        self._changed.set()

    async def wait_for(self, wanted: str) -> None:
        """Wait until the terminal shows a text, and forget what it showed up to there."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while wanted not in self.text:
                assert not self._closed, self.text
                self._changed.clear()
                await self._changed.wait()
        self.text = self.text.split(wanted, 1)[1]

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._descriptor, (text + "\n").encode())

    async def end(self) -> int:
        """Wait for the end; return the exit code."""
        async with asyncio.timeout(LIMIT_SECONDS):
            code = await self.process.wait()
            while not self._closed:
                self._changed.clear()
                await self._changed.wait()
        return code

    def hang_up(self) -> None:
        """Close the terminal while programs use it."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor, self._closed = -1, True

    def close(self) -> None:
        """Close the terminal."""
        if self._descriptor >= 0:
            if not self._closed:
                asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)


@asynccontextmanager
async def running_command(cli: Cli, *words: str) -> AsyncGenerator[Program]:
    """Run a command that goes on, with both of its outputs in one."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cli.folder,
        env=cli.environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    program = Program(process)
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await program.exit_code()
