"""One connection: the state of the protocol and its streams, apart from the event loop's transports."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from configsvc.api.exchanges import Handler
from configsvc.api.statuses import status_of
from configsvc.domain.errors import ConfigsvcError
from configsvc.http2 import session as h2
from configsvc.http2.callers import CallerReader, Peer
from configsvc.http2.deadlines import Deadlines
from configsvc.http2.floods import Floods
from configsvc.http2.framing import framed
from configsvc.http2.heads import Pairs, head_of
from configsvc.http2.refusals import HttpRefusedError, RefusedError
from configsvc.http2.streams import Stream
from configsvc.http2.trailers import RESPONSE, trailers_of

# What the transport is given at once; the rest waits for the next turn of the event loop.
PIECE_BYTES = 256 * 1024
# What a connection keeps for a client that does not read, and what it keeps if the client reads other streams.
CONNECTION_UNSENT_BYTES = 8 * 1024 * 1024
MOST_UNSENT_BYTES = 2 * CONNECTION_UNSENT_BYTES
_UNKNOWN_METHOD = Status(code=Code.UNIMPLEMENTED, message="Method not found!")


class Framer:
    """Frames messages. All streams that write the same message, one after the other, share its bytes."""

    def __init__(self) -> None:
        self._message = b""
        self._framed = framed(b"")

    def framed(self, message: bytes) -> bytes:
        """Return the message with its prefix."""
        if message is not self._message:
            self._framed = framed(message)
            self._message = message
        return self._framed


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What the connections of a server share: the handlers of its methods by path, and how to read who calls."""

    handlers: Mapping[bytes, Handler]
    callers: CallerReader
    framer: Framer
    deadlines: Deadlines


class Connection:
    """The streams of one connection. `wake` is called when there is something to send.

    Nothing here touches a transport: `receive` takes what has arrived, `output` returns what to send.
    """

    __slots__ = (
        "_arrived",
        "_deadlines",
        "_handlers",
        "_has_settings",
        "_loop",
        "acknowledge",
        "blocked",
        "callers",
        "ended_early",
        "floods",
        "framed",
        "goaway_code",
        "last_frame",
        "peer",
        "ping_acknowledged",
        "session",
        "streams",
        "wake",
    )

    def __init__(self, calls: Calls, peer: Peer, wake: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self.session = h2.new_session()
        self.acknowledge = self.session.acknowledge_received_data
        self.callers = calls.callers
        self.framed = calls.framer.framed
        self.peer = peer
        self.wake = wake
        self.streams: dict[int, Stream] = {}
        # Those whose writer waits for the client.
        self.blocked: dict[int, Stream] = {}
        # Those that were answered before the client has sent all of its requests.
        self.ended_early: set[int] = set()
        self.floods = Floods()
        self.last_frame = loop.time()
        self.ping_acknowledged: Callable[[bytes], None] | None = None
        # Set once either side has ended the connection.
        self.goaway_code: int | None = None
        self._handlers = calls.handlers
        self._deadlines = calls.deadlines
        self._loop = loop
        self._has_settings = False
        # Those that arrived in one batch of bytes, and were not begun.
        self._arrived: list[Stream] = []

    def receive(self, data: bytes) -> None:
        """Take what has arrived. Raises SessionError or TooManyError, which end the connection."""
        self.session.receive_data(data)
        events = self.session.events()
        if events:
            self.last_frame = self._loop.time()
        self._handle(events)
        if self._arrived:
            self._begin()
        # After the tasks of the calls, so that their answers leave with whatever else there is to send.
        self.wake()

    def _handle(self, events: list[h2.Event]) -> None:
        for event in events:
            handle = _HANDLERS.get(type(event))
            if handle is not None:
                handle(self, event)

    def output(self) -> bytes:
        """Return what to send now, at most PIECE_BYTES. Raises SessionError."""
        unsent = self.session.queued_body_size()
        data = self.session.data_to_send(PIECE_BYTES)
        if unsent and self.session.queued_body_size() < unsent:
            # Clients ping to measure the way of what they receive, for each window of a long answer.
            self.floods.sent()
        self._handle(self.session.events())
        if self.goaway_code is not None:
            return data
        if len(data) < PIECE_BYTES and self.ended_early:
            self._close_early()
            data += self.session.data_to_send(PIECE_BYTES)
            self._handle(self.session.events())
        for stream in tuple(self.blocked.values()):
            stream.check_room()
        if self._arrived:
            self._begin()
        return data

    def _close_early(self) -> None:
        """Close the streams whose answers were sent while their clients still send. They need not send the rest."""
        for number in tuple(self.ended_early):
            if not self.session.queued_body_size(number):
                self.ended_early.discard(number)
                self.session.reset_stream(number, h2.NO_ERROR)

    def sent(self) -> None:
        """Note that something of a call was queued, and have it sent."""
        self.floods.sent()
        self.wake()

    def has_room(self, number: int) -> bool:
        """Return whether a stream may queue a message.

        If the client leaves much unread, only one whose client reads it may: then what is queued is sent at once.
        """
        session = self.session
        unsent = session.queued_body_size()
        if unsent <= CONNECTION_UNSENT_BYTES:
            return True
        return (
            unsent <= MOST_UNSENT_BYTES
            and not session.queued_body_size(number)
            and session.remote_window_size > 0
            and session.stream_remote_window_size(number) > 0
        )

    def lose(self) -> None:
        """End all streams: the connection is lost, and its session takes nothing any more."""
        self.acknowledge = _ignore
        self._arrived.clear()
        for stream in tuple(self.streams.values()):
            self._closed(stream)

    # Events of the session

    def on_request(self, event: h2.RequestReceived) -> None:
        pairs: Pairs = event.headers
        number = event.stream_id
        try:
            head = head_of(pairs)
            handler = self._handlers.get(head.path)
            if handler is None:
                self._refuse(number, _UNKNOWN_METHOD, ended=event.end_stream)
                return
        except HttpRefusedError as error:
            self._refuse_http(number, error, ended=event.end_stream)
        except RefusedError as error:
            self._refuse(number, Status(code=error.code, message=str(error)), ended=event.end_stream)
        except ConfigsvcError as error:
            self._refuse(number, status_of(error), ended=event.end_stream)
        else:
            stream = self.streams[number] = Stream(number, self, pairs, head)
            stream.requests_ended = event.end_stream
            if head.timeout_seconds is not None:
                self._deadlines.add(stream, self._loop.time() + head.timeout_seconds)
            self._arrived.append(stream)

    def _refuse(self, number: int, status: Status, *, ended: bool) -> None:
        self._answer_headers(number, [*RESPONSE, *trailers_of(status)], ended=ended)

    def _refuse_http(self, number: int, error: HttpRefusedError, *, ended: bool) -> None:
        headers = [(b":status", b"%d" % error.status), (b"grpc-status", b"2"), (b"grpc-message", str(error).encode())]
        self._answer_headers(number, headers, ended=ended)

    def _answer_headers(self, number: int, headers: list[tuple[bytes, bytes]], *, ended: bool) -> None:
        self.session.send_response(number, headers, end_stream=True)
        if not ended:
            self.ended_early.add(number)
        self.sent()

    def on_data(self, event: h2.DataReceived) -> None:
        number = event.stream_id
        stream = self.streams.get(number)
        if not event.data and not event.end_stream:
            self.floods.empty_data(self._loop.time())
        if stream is None:
            if event.end_stream:
                self.ended_early.discard(number)
            self.acknowledge(len(event.data), number)
        else:
            stream.received(event.data, last=event.end_stream)

    def on_trailers(self, event: h2.TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.received(b"", last=True)
        self.ended_early.discard(event.stream_id)

    def on_reset(self, _: h2.StreamReset) -> None:
        self.floods.reset(self._loop.time())

    def on_closed(self, event: h2.StreamClosed) -> None:
        stream = self.streams.get(event.stream_id)
        self.ended_early.discard(event.stream_id)
        if stream is not None:
            self._closed(stream)

    def _closed(self, stream: Stream) -> None:
        del self.streams[stream.number]
        if stream.deadline:
            self._deadlines.discard(stream)
        stream.close()

    def on_ping(self, _: h2.PingReceived) -> None:
        self.floods.ping(self._loop.time())

    def on_ping_acknowledged(self, event: h2.PingAcknowledged) -> None:
        if self.ping_acknowledged is not None:
            self.ping_acknowledged(event.opaque_data)

    def on_settings(self, _: h2.SettingsReceived) -> None:
        if self._has_settings:
            self.floods.settings(self._loop.time())
        self._has_settings = True

    def on_connection_closed(self, event: h2.ConnectionClosed) -> None:
        self.goaway_code = event.error_code

    def _begin(self) -> None:
        """Begin the calls that have arrived, unless the client has so much to read that they have to wait."""
        arrived, self._arrived = self._arrived, []
        for stream in arrived:
            # Those that were reset in the same batch cost no task.
            if stream.closed:
                continue
            if self.has_room(stream.number):
                stream.start(self._handlers[stream.head.path], self._loop)
            else:
                self._arrived.append(stream)


def _ignore(_size: int, _stream: int, /) -> None:
    """Acknowledge nothing."""


_HANDLERS: dict[type[h2.Event], Callable[[Connection, Any], None]] = {
    h2.RequestReceived: Connection.on_request,
    h2.DataReceived: Connection.on_data,
    h2.TrailersReceived: Connection.on_trailers,
    h2.StreamReset: Connection.on_reset,
    h2.StreamClosed: Connection.on_closed,
    h2.PingReceived: Connection.on_ping,
    h2.PingAcknowledged: Connection.on_ping_acknowledged,
    h2.SettingsReceived: Connection.on_settings,
    h2.ConnectionClosed: Connection.on_connection_closed,
}
