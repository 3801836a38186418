"""Many clients that come back at once."""

import asyncio
import sys
import time
from pathlib import Path

from tests.client.clients import doors_of, put
from tests.docs.test_guide import line_with
from tests.storage.reading import Session

PROGRAMS = 4
CLIENTS = 50
LIMIT_SECONDS = 50.0
PROGRAM = """
import asyncio, sys
from contextlib import AsyncExitStack
from configsvc.client import ConfigClient

async def main():
    async with AsyncExitStack() as stack:
        clients = [ConfigClient(sys.argv[1], application="shop", start_timeout=60) for _ in range(int(sys.argv[2]))]
        await asyncio.gather(*(stack.enter_async_context(client) for client in clients))
        changes = [client.changes("limits") for client in clients]
        print("ready", flush=True)
        seen = [(await anext(one)).after.content["n"] for one in changes]
        print("changed", set(seen), flush=True)

asyncio.run(main())
"""


async def test_two_hundred_clients_that_come_back_at_once_all_see_the_change(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    await put(psql, "limits", '{"n": 1}')
    programs: list[asyncio.subprocess.Process] = []
    try:
        with doors_of(database_url, tmp_path) as doors:
            async with asyncio.timeout(LIMIT_SECONDS):
                async with doors.served():
                    # Half of them over each door.
                    for address in (doors.rpc, f"http://{doors.http}") * (PROGRAMS // 2):
                        command = (sys.executable, "-c", PROGRAM, address, str(CLIENTS))
                        programs.append(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))
                    for program in programs:
                        await line_with("ready", program)
                await put(psql, "limits", '{"n": 2}')
                started = time.monotonic()
                async with doors.served():
                    for program in programs:
                        assert await line_with("changed", program) == "changed {2}\n"
                    print(f"measured: {PROGRAMS * CLIENTS} clients were back after {time.monotonic() - started:.1f} s")
                    for program in programs:
                        assert await program.wait() == 0
    finally:
        for program in programs:
            if program.returncode is None:
                program.kill()
                await program.wait()
