"""Opens psql on the database of `make run`, starting the embedded PostgreSQL for as long when nothing else does."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from configsvc.embedded import embedded_postgres, packaged_binaries


async def main() -> int:
    """Runs psql with the arguments of this script and returns its exit code."""
    program = shutil.which("psql", path=f"{packaged_binaries()}{os.pathsep}{os.environ.get('PATH', '')}")
    assert program, "psql comes with the embedded PostgreSQL"
    url = os.environ.get("CONFIGSVC_DATABASE_URL")
    if url:
        os.execv(program, [program, url, *sys.argv[1:]])
    async with embedded_postgres(Path(os.environ.get("CONFIGSVC_DATA_DIR", ".configsvc"))) as url:
        # psql has the terminal to itself: Ctrl-C ends its query, not this script.
        return await asyncio.to_thread(subprocess.call, [program, url, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
