"""Starting the server again when it ends by itself: killed, or out of memory or disk."""

import asyncio
import errno
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from configsvc.embedded.cluster import Cluster
from configsvc.embedded.errors import EmbeddedPostgresError
from configsvc.embedded.lock import exclusive
from configsvc.embedded.process import running_postmaster

log = structlog.get_logger()

# Seconds. Another process may be starting the server.
POLL = 0.5
TURN_LIMIT = 120.0
# Before each attempt to start it again. A full disk may get room meanwhile.
PAUSES = (0.0, 1.0, 2.0, 4.0)
# A server that ran for so long has all attempts again.
SOUND_SECONDS = 60.0


@asynccontextmanager
async def kept_running(cluster: Cluster) -> AsyncGenerator[None]:
    """Start the server again whenever it ends.

    Cancels the body, as `asyncio.timeout` does, and raises EmbeddedPostgresError when it does not stay up.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelling = task.cancelling()
    guard = asyncio.create_task(_guard(cluster), name="embedded PostgreSQL")

    def give_up(_: object) -> None:
        task.cancel()

    guard.add_done_callback(give_up)
    try:
        yield
    except asyncio.CancelledError:
        if guard.done() and task.uncancel() <= cancelling:
            guard.result()
        raise
    finally:
        guard.remove_done_callback(give_up)
        guard.cancel()
        await asyncio.wait((guard,))


async def _guard(cluster: Cluster) -> None:
    """Watch the server until it ends too often. Raises EmbeddedPostgresError."""
    attempts = 0
    while True:
        began = time.monotonic()
        await _end(cluster)
        if time.monotonic() - began >= SOUND_SECONDS:
            attempts = 0
        log.error("embedded PostgreSQL ended", log=str(cluster.log_file), attempt=attempts + 1)
        attempts = await _start_again(cluster, attempts)


async def _end(cluster: Cluster) -> None:
    while _may_run(cluster):  # noqa: ASYNC110 - other processes set no Event
        await asyncio.sleep(POLL)


def _may_run(cluster: Cluster) -> bool:
    try:
        return running_postmaster(cluster.data) is not None
    except OSError as error:
        # Without a file descriptor nobody can look; that passes, and the server knows nothing of it.
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            raise
        return True


async def _start_again(cluster: Cluster, attempts: int) -> int:
    """Start the server, and return the number of attempts so far. Raises EmbeddedPostgresError after the last one."""
    for attempt, pause in enumerate(PAUSES[attempts:], attempts + 1):
        await asyncio.sleep(pause)
        try:
            async with exclusive(cluster.start_lock, TURN_LIMIT):
                await cluster.restart()
        except EmbeddedPostgresError as error:
            log.warning("embedded PostgreSQL did not start again", attempt=attempt, error=str(error).partition("\n")[0])
        else:
            return attempt
    raise EmbeddedPostgresError(
        f"the embedded PostgreSQL ended, and again after {len(PAUSES)} attempts to start it: see its log "
        f"{cluster.log_file}"
    )
