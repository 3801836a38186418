"""One stream, which is one call: its requests, its answers, and its end."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from ulid import ULID

from configsvc.api.exchanges import Answer, Handler
from configsvc.api.methods import Write, Writer
from configsvc.api.statuses import internal_status
from configsvc.domain.credentials import Credentials
from configsvc.domain.models import Origin
from configsvc.http2 import session as h2
from configsvc.http2.callers import LASTING_HEADERS, trace_id
from configsvc.http2.framing import PREFIX_BYTES, MessageReader, framed, framed_gzip
from configsvc.http2.heads import JUDGED, Head, Pairs
from configsvc.http2.refusals import RefusedError
from configsvc.http2.trailers import OK, RESPONSE, RESPONSE_GZIP, trailers_of
from configsvc.telemetry.logs import trace_of

if TYPE_CHECKING:
    from configsvc.http2.connections import Connection

log = structlog.get_logger()

# What a stream keeps for a client that does not read, beside the last message.
UNSENT_BYTES = 64 * 1024
# A status waits behind messages that its client does not read. After this time its call counts no more, although the
# client can still read it; then the stream is reset.
STATUS_LIMIT_SECONDS = 5.0
UNREAD_STATUS_SECONDS = 60.0
# What TCP sends at once on a new connection: a smaller answer would not arrive earlier. A larger one takes some 6 ms
# to compress, for which all other calls wait.
LEAST_COMPRESSED_BYTES = 16 * 1024
MOST_COMPRESSED_BYTES = 256 * 1024


class _Ready:
    """An awaitable that is ready, and is not used up."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_READY: Awaitable[None] = _Ready()


class Stream:
    """One stream. It is done once it is closed and its task has ended, whichever comes last."""

    # A write reports by CancelledError that the client is gone.
    broken: ClassVar[tuple[type[Exception], ...]] = ()

    __slots__ = (
        "_arrival",
        "_callbacks",
        "_chunks",
        "_opened",
        "_reader",
        "_room",
        "_started",
        "_unsent_limit",
        "closed",
        "connection",
        "deadline",
        "ended",
        "gone",
        "head",
        "number",
        "pairs",
        "requests_ended",
        "task",
    )

    def __init__(self, number: int, connection: "Connection", pairs: Pairs, head: Head) -> None:
        self.number = number
        self.connection = connection
        self.pairs = pairs
        self.head = head
        self.task: asyncio.Task[None] | None = None
        self.deadline = 0.0
        # True once the client has sent the last of its requests.
        self.requests_ended = False
        # True once the last of the answer is queued: its trailers.
        self.ended = False
        # True once nobody waits for the answer: cancelled, too late, refused, or the connection is lost.
        self.gone = False
        self.closed = False
        self._opened = False
        self._started = False
        self._unsent_limit = UNSENT_BYTES
        # What has arrived of the body and was not taken: the client's window is smaller by as much.
        self._chunks: list[bytes] = []
        self._reader: MessageReader | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._callbacks: list[Callable[[Any], None]] = []

    # The call, as its handler sees it.

    def peer(self) -> str:
        connection = self.connection
        return connection.callers.address(connection.peer, self.pairs)

    def connection_address(self) -> str:
        return self.connection.peer.address

    def trace_id(self) -> str:
        return trace_id(self.pairs)

    def credentials(self) -> Credentials:
        connection = self.connection
        return connection.callers.credentials(connection.peer, self.pairs)

    def origin(self) -> Origin:
        connection = self.connection
        return connection.callers.origin(connection.peer, self.pairs)

    def when_done(self, callback: Callable[[Any], None], /) -> None:
        self._callbacks.append(callback)

    def whole(self) -> bytes | None:
        if not self.requests_ended or len(self._chunks) != 1 or self._reader is not None:
            return None
        (chunk,) = self._chunks
        size = len(chunk) - PREFIX_BYTES
        if size < 0 or chunk[0] or int.from_bytes(chunk[1:PREFIX_BYTES]) != size:
            return None
        self._chunks = []
        self._taken(len(chunk))
        return chunk[PREFIX_BYTES:]

    def _taken(self, size: int) -> None:
        """Let the client send as much again. It learns of it with the next output."""
        self.connection.acknowledge(size, self.number)
        self.connection.wake()

    async def receive(self) -> bytes | None:
        if self._reader is None:
            self._reader = MessageReader(self.head.encoding)
            if not self.closed:
                # Until somebody waits for it, a request takes little memory.
                self.connection.session.set_local_window_size(h2.READING_WINDOW_BYTES, stream_id=self.number)
                self.connection.wake()
        while True:
            try:
                message = self._next_message(self._reader)
            except RefusedError as error:
                self.refuse(Status(code=error.code, message=str(error)))
                raise asyncio.CancelledError from error
            if message is not None or self.requests_ended:
                return message
            await self._next_arrival()

    def _next_message(self, reader: MessageReader) -> bytes | None:
        """Return the next message if it has arrived. What follows it stays where the client's window counts it.

        Raises RefusedError.
        """
        message = reader.message()
        while message is None and self._chunks:
            chunk = self._chunks.pop(0)
            reader.add(chunk)
            self._taken(len(chunk))
            message = reader.message()
        if message is None and self.requests_ended and not reader.is_empty:
            raise RefusedError(Code.INTERNAL, "the stream of requests ended within a message")
        return message

    async def _next_arrival(self) -> None:
        if self.gone:
            raise asyncio.CancelledError
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def open(self) -> Awaitable[None]:
        if not self.gone and not self._opened:
            self._opened = True
            # A stream can stay open for long, and has said who calls by now.
            self.pairs = tuple(pair for pair in self.pairs if pair[0] in LASTING_HEADERS)
            if self.requests_ended:
                self.head = JUDGED
            self.connection.session.send_response(self.number, RESPONSE)
            self.connection.sent()
        return _READY

    def writer(self) -> Writer:
        return Writer(write=self.write, offer=self.offer)

    def patient_writer(self) -> Write:
        self._unsent_limit = 0
        return self.write

    def write(self, message: bytes) -> Awaitable[None]:
        """Queue a message, and return what waits until the client can take more. Raises CancelledError."""
        if self.gone:
            raise asyncio.CancelledError
        self._queue(message)
        return _READY if self._has_room() else self._next_room()

    def offer(self, message: bytes) -> bool:
        """Queue a message and return True; return False, and queue nothing, if the client has to read first."""
        if self.gone or not self._has_room():
            return False
        try:
            self._queue(message)
        except h2.SessionError:
            # A write will fail as well.
            return False
        return True

    def _queue(self, message: bytes) -> None:
        connection = self.connection
        if not self._opened:
            self.open()
        connection.session.send_data(self.number, connection.framed(message))
        connection.sent()

    def _has_room(self) -> bool:
        connection = self.connection
        unsent = connection.session.queued_body_size(self.number)
        return unsent <= self._unsent_limit and connection.has_room(self.number)

    async def _next_room(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        self.connection.blocked[self.number] = self
        try:
            await self._room
        finally:
            self._room = None
            self.connection.blocked.pop(self.number, None)

    # The task of the call.

    def start(self, handler: Handler, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the call."""
        self.task = loop.create_task(self._run(handler))

    async def _run(self, handler: Handler) -> None:
        # A task that is cancelled before its first step would never run, and so never count its end: it is not.
        self._started = True
        if not self.gone:
            try:
                result = await handler(self)
                # Until its bytes are joined, an answer may share those of others: many calls may have begun at once.
                while isinstance(result, tuple) and not self.connection.has_room(self.number):
                    await self._next_room()
            except asyncio.CancelledError:
                if not self.ended:
                    self.reset(h2.CANCEL)
            except Exception as error:  # noqa: BLE001  # a defect ends its call only
                self._fail_internally(error)
            else:
                self._answer(result)
        self.task = None
        if self.closed:
            self._done()

    def _fail_internally(self, error: Exception) -> None:
        error_id = str(ULID())
        log.error("internal error", call_id=error_id, trace=trace_of(error))
        self.fail(internal_status(error_id))

    def _answer(self, result: Answer | Status | None) -> None:
        if self.gone:
            return
        if isinstance(result, tuple):
            self._answer_once(result)
        elif result is None:
            self._end(OK)
        else:
            self.fail(result)

    def _answer_once(self, pieces: Answer) -> None:
        session, number = self.connection.session, self.number
        size = sum(map(len, pieces))
        if self.head.takes_gzip and LEAST_COMPRESSED_BYTES <= size <= MOST_COMPRESSED_BYTES:
            session.send_response(number, RESPONSE_GZIP)
            session.send_data(number, framed_gzip(*pieces))
        else:
            session.send_response(number, RESPONSE)
            session.send_data(number, framed(*pieces))
        self._opened = True
        self._end(OK)

    def fail(self, status: Status) -> None:
        """Answer with a status."""
        if self.gone:
            return
        self._end(trailers_of(status))
        connection = self.connection
        if connection.session.queued_body_size(self.number):
            asyncio.get_running_loop().call_later(STATUS_LIMIT_SECONDS, self._count_no_more)

    def _count_no_more(self) -> None:
        if not self.closed:
            asyncio.get_running_loop().call_later(UNREAD_STATUS_SECONDS, self.reset, h2.CANCEL)
            if self.task is None:
                self._done()

    def _end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        if self.gone or self.ended:
            return
        connection = self.connection
        if self._opened:
            connection.session.send_trailers(self.number, trailers)
        else:
            connection.session.send_response(self.number, [*RESPONSE, *trailers], end_stream=True)
        self.ended = True
        self._drop_requests()
        if not self.requests_ended:
            connection.ended_early.add(self.number)
        connection.sent()

    def refuse(self, status: Status) -> None:
        """Answer with a status instead of the handler, whose task is cancelled."""
        if not self.ended:
            self.fail(status)
            self._leave()

    def reset(self, code: int) -> None:
        """Break the stream off, unless it is closed."""
        if not self.closed:
            self.gone = True
            self.connection.session.reset_stream(self.number, code)
            self.connection.wake()

    # What the connection tells.

    def received(self, data: bytes, *, last: bool) -> None:
        """Take a piece of the body."""
        if self.ended or self.gone:
            self.connection.acknowledge(len(data), self.number)
        elif data:
            self._chunks.append(data)
        if last:
            self.requests_ended = True
            self.connection.ended_early.discard(self.number)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def check_room(self) -> None:
        """Wake the writer if the client can take more."""
        if self._room is not None and not self._room.done() and self._has_room():
            self._room.set_result(None)

    def close(self) -> None:
        """Note that the stream is over: answered, reset by either side, or its connection lost."""
        self.closed = True
        self._drop_requests()
        if self.task is None:
            self._done()
        else:
            self._leave()

    def _leave(self) -> None:
        """End the task, as nobody waits for its answer any more."""
        self.gone = True
        # One that has not begun finds that by itself.
        if self.task is not None and self._started:
            self.task.cancel()

    def _drop_requests(self) -> None:
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            self._taken(len(chunk))

    def _done(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)
