"""Programs that may be installed, and their output."""

import asyncio
import os
import shutil
from pathlib import Path

INSTALL = "bench/install-peers.sh installs it with apt-get, as root or with sudo"


def program(name: str) -> str:
    """Return the path of a program. Raises RuntimeError if it is not installed."""
    path = found(name)
    if path is None:
        raise RuntimeError(missing(name))
    return path


def missing(*names: str) -> str | None:
    """Return which of the programs are not installed, as a sentence; None if all are."""
    absent = [name for name in names if found(name) is None]
    return f"{', '.join(absent)} not installed: {INSTALL}" if absent else None


def found(name: str) -> str | None:
    """Return the path of a program; None if it is not installed."""
    # Debian's own pgbench is a wrapper that chooses a server by its own rules.
    folders = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"]))


async def output_of(*command: str) -> str:
    """Run a program and return its output. Raises RuntimeError if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {output.decode(errors='replace')[-2000:]}")
    return output.decode(errors="replace")
