"""Sampling of refused calls in the log, so that nobody can flood it, or hide in it, by being refused."""

import asyncio
import logging
from typing import NamedTuple

import structlog

log = structlog.get_logger()

WINDOW_SECONDS = 10.0
# Further kinds are grouped by method and code, so that a crowd of callers fills neither memory nor log.
KINDS_LIMIT = 1000
_OTHERS = "others"

# Status codes that an operator wants to see: somebody tried to use what is not theirs.
DENIALS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


class Kind(NamedTuple):
    """A kind of refused calls. `reason`: the kind of error. `who`: the caller or, if unknown, the host of the peer."""

    method: str
    code: str
    reason: str
    who: str


def level_of(code: str) -> int:
    """Return the log level of a refused call."""
    return logging.WARNING if code in DENIALS else logging.INFO


class Refusals:
    """Logs the first refused call of each kind in a time window, and at its end how many followed.

    A window begins with a refused call.
    """

    def __init__(self) -> None:
        self._suppressed: dict[Kind, int] = {}
        self._end: asyncio.TimerHandle | None = None

    def should_log(self, kind: Kind) -> bool:
        """Return whether to log a call that is refused now; if not, count it."""
        suppressed = self._suppressed
        if self._end is None:
            self._end = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self.end_window)
        if kind not in suppressed and len(suppressed) >= KINDS_LIMIT:
            kind = kind._replace(who=_OTHERS)
        if kind not in suppressed:
            suppressed[kind] = 0
            return True
        suppressed[kind] += 1
        return False

    def end_window(self) -> None:
        """Log how many calls were suppressed."""
        if self._end:
            self._end.cancel()
        counts, self._suppressed, self._end = self._suppressed, {}, None
        for kind, count in counts.items():
            if count:
                log.log(level_of(kind.code), "similar refused calls suppressed", **kind._asdict(), count=count)
