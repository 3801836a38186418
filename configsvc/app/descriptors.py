"""A watch over the file descriptors of the process: without any left, gRPC accepts no connection, and says nothing."""

import asyncio
import errno
import os
import resource
import time

import structlog

from configsvc.telemetry.descriptors import shortage

log = structlog.get_logger()

INTERVAL_SECONDS = 1.0
REMINDER_SECONDS = 60.0
ADVICE = {
    errno.EMFILE: "raise the limit of this process (ulimit -n, LimitNOFILE=, --ulimit nofile=), or use more workers",
    errno.ENFILE: "raise the limit of the machine (sysctl fs.file-max)",
}


async def watch_descriptors() -> None:
    """Log when no file descriptor is left, every minute while that lasts, and when there are some again."""
    reminded: float | None = None
    while True:
        number = shortage()
        if number and (reminded is None or time.monotonic() - reminded >= REMINDER_SECONDS):
            reminded = time.monotonic()
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            log.error(
                "out of file descriptors: new connections of clients and to the database fail or wait",
                reason=os.strerror(number),
                limit=soft,
                advice=ADVICE[number],
            )
        elif reminded is not None and not number:
            reminded = None
            log.info("file descriptors are available again")
        await asyncio.sleep(INTERVAL_SECONDS)
