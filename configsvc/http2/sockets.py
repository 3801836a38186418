"""The transport of a connection: bytes in, bytes out once a turn of the event loop, and timers."""

import asyncio
import re
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any, cast

import structlog

from configsvc.http2 import session as h2
from configsvc.http2.callers import Peer
from configsvc.http2.connections import PIECE_BYTES, Connection
from configsvc.http2.floods import TooManyError
from configsvc.http2.keepalive import Keepalive
from configsvc.telemetry.logs import trace_of

if TYPE_CHECKING:
    from configsvc.http2.open_sockets import OpenSockets

log = structlog.get_logger()

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Beyond this, output stays in the session, where the limits of streams and connections count it.
WRITE_BUFFER_BYTES = 64 * 1024
_HTTP1 = re.compile(rb"[A-Z]{3,20} [^\r\n]* HTTP/1|[A-Z]{3,20} /")
_HTTP1_TEXT = b"this port speaks gRPC, over HTTP/2 only\n"
_HTTP1_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
    % (len(_HTTP1_TEXT), _HTTP1_TEXT)
)
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_LAST_STREAM = 2**31 - 1
_NO_BYTES = b""


class Socket(asyncio.Protocol):
    """One connection's transport. Whatever goes wrong in it ends this connection only."""

    __slots__ = (
        "_connection",
        "_early",
        "_flush_due",
        "_loop",
        "_paused",
        "_shared",
        "_transport",
        "closing_since",
        "is_begun",
        "keepalive",
        "opened",
        "unread",
    )

    def __init__(self, shared: "OpenSockets") -> None:
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        # What has arrived of the preface.
        self._early = _NO_BYTES
        self.is_begun = False
        self._flush_due = False
        self._paused = False
        self.keepalive: Keepalive | None = None
        self.opened = self._loop.time()
        # Set once nothing more is sent: the client is given time to read, and to close the connection.
        self.closing_since: float | None = None
        # Since when the client has read nothing of how much.
        self.unread: tuple[float, int] | None = None

    @property
    def calls(self) -> int:
        """The number of calls under way."""
        return len(self._connection.streams) if self._connection else 0

    # Callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._shared.add(self):
            self._transport.abort()
            return
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._connection = Connection(self._shared.calls, _peer_of(transport, tls), self.wake, self._loop)
        self.keepalive = Keepalive(self._connection, self.opened)
        self._shared.limit_age(self)

    def data_received(self, data: bytes) -> None:
        if self.closing_since is not None or self._connection is None:
            return
        if not self.is_begun:
            data = self._after_preface(data)
            if not data:
                return
        try:
            self._connection.receive(data)
        except Exception as error:  # noqa: BLE001  # one that is not foreseen is a defect, and ends this connection only
            self._fail(error)

    def _after_preface(self, data: bytes) -> bytes:
        """Return all that has arrived once it begins like HTTP/2; answer what is something else."""
        data = self._early + data
        if data[: len(PREFACE)] != PREFACE[: len(data)]:
            is_http1 = _HTTP1.match(data)
            self._end(_HTTP1_ANSWER if is_http1 else h2.goaway(h2.PROTOCOL_ERROR, 0, b"this is not HTTP/2"))
            return _NO_BYTES
        if len(data) < len(PREFACE):
            self._early = data
            return _NO_BYTES
        self.is_begun, self._early = True, _NO_BYTES
        return data

    def pause_writing(self) -> None:
        self._paused = True
        self.unread = self._loop.time(), self._buffered()
        self._shared.unread[self] = None

    def resume_writing(self) -> None:
        self._paused = False
        self.unread = None
        self._shared.unread.pop(self, None)
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._shared.discard(self)
        connection, self._connection = self._connection, None
        self._transport = self.keepalive = None
        if connection is not None:
            connection.lose()

    # Output

    def wake(self) -> None:
        """Send what there is to send, once in this turn of the event loop."""
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        connection, transport = self._connection, self._transport
        if self._paused or connection is None or transport is None or self.closing_since is not None:
            return
        try:
            data = connection.output()
        except Exception as error:  # noqa: BLE001  # see above
            self._fail(error)
            return
        if connection.goaway_code is not None:
            self._end(data)
            return
        if data:
            transport.write(data)
            if len(data) >= PIECE_BYTES:
                self.wake()
        if self.keepalive is not None and self.keepalive.is_leaving:
            self.end_if_idle()

    # The end

    def _fail(self, error: Exception) -> None:
        """End the connection because of an error."""
        last = _NO_BYTES
        match error:
            case TooManyError():
                code, text = h2.ENHANCE_YOUR_CALM, str(error)
            case h2.SessionError():
                code, text = h2.error_code_of(error), ""
                last = self._last_output()
            case _:
                code, text = h2.INTERNAL_ERROR, ""
                log.error("internal error", trace=trace_of(error))
        self._end(last or h2.goaway(code, _LAST_STREAM, text.encode()))

    def _last_output(self) -> bytes:
        """Return what a session has to say that has failed; often nothing."""
        assert self._connection is not None
        try:
            return self._connection.session.data_to_send()
        except h2.SessionError:
            return _NO_BYTES

    def _end(self, last: bytes) -> None:
        """Send the last bytes, then end the connection so that the client can read them."""
        transport, connection = self._transport, self._connection
        if transport is None or self.closing_since is not None:
            return
        self.closing_since = self._loop.time()
        self._shared.closing[self] = None
        if last:
            transport.write(last)
        if connection is not None:
            connection.lose()
        if transport.can_write_eof():
            # To close at once would reset the connection if the client still sends, and may lose what was sent.
            transport.write_eof()
        else:
            transport.close()

    def end_if_idle(self) -> None:
        """End a connection that is being left by its last call."""
        if self.keepalive is not None and self.keepalive.has_left and not self.calls and not self._paused:
            self._end(_NO_BYTES)

    def drop(self) -> None:
        """End the connection at once."""
        self._shared.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _reset(self) -> None:
        """End the connection at once, with whatever the client has not read."""
        if self._transport is not None and (one := self._transport.get_extra_info("socket")) is not None:
            # Else the kernel would keep it for the client.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        self.drop()

    # Called from time to time

    def tick(self, now: float) -> None:
        """End what is late, and look after the peer."""
        connection, keepalive = self._connection, self.keepalive
        if connection is None or keepalive is None or self.closing_since is not None:
            return
        try:
            if keepalive.tick(now, is_begun=self.is_begun):
                self.drop()
            else:
                self.wake_if_due()
        except Exception as error:  # noqa: BLE001  # see above
            self._fail(error)

    def wake_if_due(self) -> None:
        """Send what the keepalive has queued."""
        connection = self._connection
        if connection is not None and connection.session.want_write:
            self.wake()

    def check_unread(self, now: float, limit_seconds: float) -> None:
        """End a connection whose client has read nothing for too long."""
        if self.unread is None:
            return
        since, size = self.unread
        left = self._buffered()
        if left != size:
            self.unread = now, left
        elif now - since > limit_seconds:
            self._reset()

    def leave(self) -> None:
        """Tell the client to make no further calls on this connection, and end it after the last one."""
        if self.keepalive is not None and self.closing_since is None:
            self.keepalive.leave(self._loop.time())
            self.wake()

    def _buffered(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport else 0


def _peer_of(transport: asyncio.BaseTransport, tls: ssl.SSLObject | None) -> Peer:
    certificate = tls.getpeercert(binary_form=True) if tls else None
    pem = ssl.DER_cert_to_PEM_cert(certificate).encode() if certificate else None
    return Peer(address=_address_of(transport.get_extra_info("socket"), transport), certificate=pem)


def _address_of(one: Any, transport: asyncio.BaseTransport) -> str:
    """Return the address as gRPC writes it."""
    if one is not None and one.family == socket.AF_UNIX:
        return "unix:"
    host, port, *_ = transport.get_extra_info("peername") or ("", 0)
    if host.startswith("::ffff:"):
        host = host.removeprefix("::ffff:")
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
