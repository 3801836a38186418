"""A stream of a transport, read by a thread."""

import asyncio
import os
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, closing, suppress
from typing import Protocol

from configsvc.client.engine import End, Message

_READ_AHEAD = 4
_CLOSE_SECONDS = 5.0


class Stream:
    """The messages of one stream, which may block, read by a thread.

    So no library disturbs the loops of the program, and its loop is spared the parsing of a large snapshot.
    `interrupt` lets the messages end at once, from another thread.
    """

    def __init__(self, messages: Generator[Message | End], *, interrupt: Callable[[], object]) -> None:
        self._messages = messages
        self._interrupt = interrupt
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Message | End] = asyncio.Queue()
        # How many messages the thread may read ahead of the loop.
        self._room = threading.Semaphore(_READ_AHEAD)
        self._is_over = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._read_all, daemon=True, name="configsvc-stream")
        self._thread.start()

    async def read(self) -> Message | End:
        """Return the next message, or the end of the stream."""
        message = await self._arrived.get()
        self._room.release()
        self._is_over = isinstance(message, End)
        return message

    async def close(self) -> None:
        """End the stream and its thread."""
        if self._process != os.getpid():
            return  # it is that of the parent, and shared with it
        self._interrupt()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while not self._is_over:
                    await self.read()
                self._thread.join()

    def _read_all(self) -> None:
        end = End(text="the service ended the watch")
        try:
            with closing(self._messages) as messages:
                for message in messages:
                    if isinstance(message, End):
                        end = message
                        break
                    self._hand_over(message)
        except Exception as error:  # noqa: BLE001  # nobody awaits a thread: the feed has to hear of it
            end = End(text=f"a message cannot be read: {error!r}")
        self._hand_over(end)

    def _hand_over(self, message: Message | End) -> None:
        self._room.acquire()
        # Not if the loop is closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, message)


class Transport(Protocol):
    """A way to the service. Those that there are need not be imported to name them: it takes long."""

    def stream(self, resume_token: str, bearer: str) -> AbstractAsyncContextManager[Stream]:
        """Open a stream that resumes from the token; empty: that begins with a snapshot. Raises OSError."""
        ...
