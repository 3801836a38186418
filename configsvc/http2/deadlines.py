"""The deadlines of calls: those whose clients do not wait any more are ended."""

import asyncio
from typing import TYPE_CHECKING

from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

if TYPE_CHECKING:
    from configsvc.http2.streams import Stream

# How exact deadlines are, which clients keep too. A timer for each call would cost more than most calls.
CHECK_SECONDS = 0.05
_TOO_LATE = Status(code=Code.DEADLINE_EXCEEDED, message="Deadline Exceeded")


class Deadlines:
    """The calls of a server that have a deadline."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._checking = False

    def add(self, stream: "Stream", deadline: float) -> None:
        """End a call when it is too late."""
        stream.deadline = deadline
        self._streams.add(stream)
        if not self._checking:
            self._checking = True
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)

    def discard(self, stream: "Stream") -> None:
        """Forget a call that is over."""
        self._streams.discard(stream)

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for stream in [one for one in self._streams if one.deadline <= now]:
            self._streams.discard(stream)
            stream.refuse(_TOO_LATE)
        self._checking = bool(self._streams)
        if self._checking:
            loop.call_later(CHECK_SECONDS, self._check)
