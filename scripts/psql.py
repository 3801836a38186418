"""Open psql on the database of `make run`. Meanwhile the embedded PostgreSQL runs, started if necessary."""

import asyncio
import os
import shutil
import subprocess
import sys

from configsvc.embedded import embedded_postgres, packaged_binaries
from configsvc.process.settings import Settings


async def main() -> int:
    """Run psql with the arguments of this script, and return its exit code."""
    program = shutil.which("psql", path=f"{packaged_binaries()}{os.pathsep}{os.environ.get('PATH', '')}")
    assert program, "psql comes with the embedded PostgreSQL"
    settings = Settings()
    if settings.database_url:
        os.execv(program, [program, settings.database_url.get_secret_value(), *sys.argv[1:]])
    async with embedded_postgres(settings.data_dir) as url:
        # Ctrl-C must end a query of psql, not this script.
        return await asyncio.to_thread(subprocess.call, [program, url, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
