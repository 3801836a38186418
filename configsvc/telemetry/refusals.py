"""Which of the calls that are refused are lines of the log: nobody fills it, or hides in it, by being refused."""

import asyncio
import logging
from typing import NamedTuple

import structlog

log = structlog.get_logger()

WINDOW_SECONDS = 10.0
# Those beyond are told apart by method and code alone, so that no crowd of callers fills the memory or the log.
KINDS_LIMIT = 1000
_OTHERS = "others"

# Status codes that an operator wants to hear of: somebody tried what is not theirs.
DENIALS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


class Kind(NamedTuple):
    """What refused calls have in common. reason: the kind of the error. who: the caller or, where nobody is known, the
    host of the peer.
    """

    method: str
    code: str
    reason: str
    who: str


def level_of(code: str) -> int:
    """The level at which a refused call is logged."""
    return logging.WARNING if code in DENIALS else logging.INFO


class Refusals:
    """Of each kind, the first in a window is told, and how many came after it at the window's end. A window begins with
    a refused call.
    """

    def __init__(self) -> None:
        self._left_out: dict[Kind, int] = {}
        self._end: asyncio.TimerHandle | None = None

    def is_told(self, kind: Kind) -> bool:
        """Whether a call that is refused now is a line of the log; if not, it is counted."""
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
        """Tells how many were left out."""
        if self._end:
            self._end.cancel()
        told, self._left_out, self._end = self._left_out, {}, None
        for kind, count in told.items():
            if count:
                log.log(level_of(kind.code), "refused calls left out", **kind._asdict(), count=count)
