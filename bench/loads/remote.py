"""Load generators in processes of their own. A request is a line of JSON, and so is its answer."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

LIMIT_SECONDS = 300.0
# The arrivals at 10,000 watchers are one line.
LONGEST_LINE = 2**24


class Remote:
    """A load generator that waits for requests."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **request: Any) -> Any:
        """Send a request and return the answer. Raises RuntimeError if the process ends; its error is on stderr."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(LIMIT_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a load generator ended during a request for {', '.join(request)}")
        return json.loads(line)


@asynccontextmanager
async def remote(module: str, *arguments: str) -> AsyncGenerator[Remote]:
    """Start a module of `bench.loads`, yield it, and end it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"bench.loads.{module}", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        # Ctrl-C is for the benchmark, which ends this process in turn.
        start_new_session=True,
    )
    try:
        yield Remote(process)
    finally:
        assert process.stdin
        process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer_requests(handle: Callable[..., Awaitable[Any]]) -> None:
    """Call `handle` with the members of each request and print its result, until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await handle(**json.loads(line))), flush=True)
