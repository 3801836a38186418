"""Limits on log lines of refused calls, so that nobody floods the log, or hides in it, by being refused."""

import asyncio
import logging
from typing import NamedTuple

import structlog

log = structlog.get_logger()

WINDOW_SECONDS = 10.0
# Further kinds count by method and code alone, so that a crowd of callers fills neither memory nor log.
KINDS_LIMIT = 1000
_OTHERS = "others"

# Status codes logged as warnings: somebody may have tried something forbidden.
DENIALS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


class Kind(NamedTuple):
    """A kind of refused call. `reason`: the type of the error. `who`: the caller, or the peer's host if unknown."""

    method: str
    code: str
    reason: str
    who: str


def level_of(code: str) -> int:
    """Return the log level of a refused call."""
    return logging.WARNING if code in DENIALS else logging.INFO


class Refusals:
    """Refused calls of the current window, by kind. The first of each kind is logged; the end of the window logs how
    many followed. A window begins with a refused call.
    """

    def __init__(self) -> None:
        self._left_out: dict[Kind, int] = {}
        self._end: asyncio.TimerHandle | None = None

    def is_told(self, kind: Kind) -> bool:
        """Return whether to log a call that is refused now. If not, count it."""
        left_out = self._left_out
        if self._end is None:
            self._end = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self.end_window)
        if kind not in left_out and len(left_out) >= KINDS_LIMIT:
            kind = kind._replace(who=_OTHERS)
        if kind not in left_out:
            left_out[kind] = 0
            return True
        left_out[kind] += 1
        return False

    def end_window(self) -> None:
        """Log how many calls were suppressed."""
        if self._end:
            self._end.cancel()
        told, self._left_out, self._end = self._left_out, {}, None
        for kind, count in told.items():
            if count:
                log.log(level_of(kind.code), "similar refused calls suppressed", **kind._asdict(), count=count)
