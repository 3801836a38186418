"""A process that uses the embedded PostgreSQL until its standard input ends: python -m tests.embedded.owner FOLDER"""

import asyncio
import sys
from pathlib import Path

from configsvc.embedded import embedded_postgres
from tests.postgres import PARAMETERS, chosen_binaries


async def main() -> None:
    async with embedded_postgres(Path(sys.argv[1]), binaries=chosen_binaries(), parameters=PARAMETERS) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
