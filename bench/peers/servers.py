"""The servers that are measured: the service, the bare handler, etcd, Redis."""

import os
import shutil
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.loads.calls import serving
from bench.peers.processes import Running, free_address, running
from bench.plan import Run

CONFIGSVC = Path(sys.executable).with_name("configsvc")
INSTALL = "bench/install-peers.sh installs it where apt-get and root or sudo are"


def program(name: str) -> str | None:
    """The path of a peer's program; None if it is not installed."""
    # Debian's own pgbench is a wrapper, which chooses a server by rules of its own.
    folders = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"]))


def missing(*names: str) -> str | None:
    """Why something cannot be measured: which of the programs are not installed. None if all are."""
    absent = [name for name in names if program(name) is None]
    return f"{', '.join(absent)} not installed: {INSTALL}" if absent else None


@asynccontextmanager
async def service(
    database_url: str,
    folder: Path,
    *flags: str,
    log_level: str = "warning",
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[Running]:
    """`configsvc serve`, with these variables beside the usual ones, once it says that it is SERVING."""
    address = free_address()
    command = [str(CONFIGSVC), "serve", "--listen", address]
    options = ["--database-url", database_url, "--log-level", log_level, "--log-format", "json", *flags]
    log = folder / f"service-{address}.log"
    async with running([*command, *options], address, log, environment or {}) as server:
        await serving(address)
        yield server


@asynccontextmanager
async def service_of(run: Run) -> AsyncGenerator[Running]:
    """The service that a group measures: one of its own, whose memory shows nothing of others, or that of the run."""
    if run.shared:
        yield run.shared
    else:
        async with service(run.database_url, run.folder) as server:
            yield server


@asynccontextmanager
async def bare(answer: bytes, folder: Path) -> AsyncGenerator[Running]:
    """`bench.peers.bare`, which answers with the bytes."""
    address = free_address()
    file = folder / f"answer-{address}.bin"
    file.write_bytes(answer)
    command = [sys.executable, "-m", "bench.peers.bare", address, str(file)]
    async with running(command, address, folder / f"bare-{address}.log") as server:
        yield server


@asynccontextmanager
async def etcd(folder: Path) -> AsyncGenerator[Running]:
    """One etcd, with its durability as it comes. It must be installed."""
    address, peer_url = free_address(), f"http://{free_address()}"
    url, found = f"http://{address}", program("etcd")
    assert found
    command = [found, "--data-dir", str(folder / f"etcd-{address}"), "--logger", "zap", "--log-level", "error"]
    urls = ["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peer_url]
    cluster = ["--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}"]
    async with running([*command, *urls, *cluster], address, folder / f"etcd-{address}.log") as server:
        yield server


@asynccontextmanager
async def redis(folder: Path) -> AsyncGenerator[Running]:
    """One Redis, which keeps nothing on disk. It must be installed."""
    address, found = free_address(), program("redis-server")
    assert found
    host, _, port = address.rpartition(":")
    command = [found, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    async with running(command, address, folder / f"redis-{address}.log") as server:
        yield server
