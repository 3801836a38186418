"""One connection of HTTP: uvicorn's protocol, with limits on what a client can send, keep and leave unread."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from configsvc.web.exchange import RESET
from configsvc.web.heads import MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES, HeadError, check_framing, checked_target
from configsvc.web.open_connections import HEAD_SECONDS, Connections
from configsvc.web.refusals import refusal
from configsvc.web.replies import Reply

# Of a connection: requests that were sent before the answer to an earlier one. Further ones are not read.
MAX_PIPELINED = 16
# What chunks may have beside their contents, such as extensions and trailers, beyond as many bytes as the contents.
MAX_CHUNK_OVERHEAD_BYTES = 64 * 1024

RESET_AT_CLOSE = struct.pack("ii", 1, 0)

_NO_EXTENSIONS: Mapping[str, Any] = {}


class Connection(HttpToolsProtocol):
    """One connection. It is the transport of its replies, so that they can end it with care."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections.config, connections.state, {}, asyncio.get_running_loop())
        self._shared = connections
        self._opened = self.loop.time()
        self._extensions = _NO_EXTENSIONS
        # The request that is being answered; `cycle` is the newest one.
        self._running: Reply | None = None
        # True from the first byte of a request to the end of its headers.
        self.head_begun = False
        self._head_size = 0
        self._later_head_bytes = 0
        self._body_arriving = False
        self._body_bytes = 0
        self._contents_bytes = 0
        self._error: HeadError | None = None
        # What follows the last answer, before the connection ends.
        self._last_words = b""
        # True once nothing is read any more; it is still received, as the client would see a reset otherwise.
        self._deaf = False
        self._ended = False
        # What the client had not read of the last answer, as of the last look.
        self._left = 0

    @property
    def is_old(self) -> bool:
        """True if the client should open another connection."""
        shared = self._shared
        return shared.draining or bool(shared.age_seconds and self.loop.time() - self._opened > shared.age_seconds)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if not self._shared.make_room():
            transport.abort()
            return
        super().connection_made(transport)
        self._extensions = _tls_extension(transport.get_extra_info("ssl_object"))
        self._shared.arriving[self] = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._shared.left(self)
        for reply in (self._running, self.cycle):
            if reply is not None and not reply.response_complete:
                reply.disconnected = True
                reply.message_event.set()
        self.pipeline.clear()
        if self.flow is not None:  # pyright: ignore[reportUnnecessaryComparison]
            self.flow.resume_writing()
        # Each refers to the other.
        self.parser = cast("Any", None)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self.head_begun:
            self._later_head_bytes += len(data)
        elif self._body_arriving:
            self._body_bytes += len(data)
        try:
            self._feed(data)
            self._check_sizes()
        except HeadError as error:
            self._refuse(error)
        except httptools.HttpParserError:
            self._refuse(self._error or HeadError(400, "the request is not valid HTTP/1.1"))
        if self.head_begun and not self._deaf:
            self._shared.arriving.setdefault(self, self.loop.time())

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The request was answered as if it had not asked for another protocol.
                data = data[upgrade.args[0] :]
            else:
                return

    def _check_sizes(self) -> None:
        """Check what the parser keeps to itself, and what it drops. Raises HeadError."""
        if self._later_head_bytes > MAX_HEAD_BYTES:
            raise HeadError(431, f"the headers have more than {MAX_HEAD_BYTES} bytes")
        overhead = self._body_bytes - self._contents_bytes
        if overhead > MAX_CHUNK_OVERHEAD_BYTES + self._contents_bytes:
            raise HeadError(400, "the chunks of the body are larger than their contents: send larger chunks")

    # Callbacks of the parser, which makes an error of any exception.

    def on_message_begin(self) -> None:
        self._shared.idle.pop(self, None)
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.head_begun = True
        self._head_size = self._later_head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_TARGET_BYTES:
            self._fail(HeadError(414, f"the path and the query have more than {MAX_TARGET_BYTES} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head_begun:
            # A trailer: nothing reads them, and the request has been admitted with its headers.
            return
        self._head_size += len(name) + len(value) + 4
        if len(self.headers) >= MAX_HEADERS:
            self._fail(HeadError(431, f"the request has more than {MAX_HEADERS} headers"))
        if self._head_size > MAX_HEAD_BYTES:
            self._fail(HeadError(431, f"the headers have more than {MAX_HEAD_BYTES} bytes"))
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head_begun = False
        self._later_head_bytes = self._body_bytes = self._contents_bytes = 0
        self._shared.arriving.pop(self, None)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fail(HeadError(0, ""))
        reply = self._reply()
        self._body_arriving = True
        self.cycle = reply
        if self._running is None:
            self._start(reply)
        else:
            self.pipeline.appendleft((reply, cast("Any", None)))

    def _reply(self) -> Reply:
        """Return the reply to the request whose headers have arrived. Raises HeadError."""
        version, method = self.parser.get_http_version(), self.parser.get_method().decode("ascii")
        try:
            check_framing(version, self.headers)
            path, query = checked_target(self.url, method, self.headers)
        except HeadError as error:
            self._fail(error)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": method,
            "scheme": self.scheme,
            "path": path.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "extensions": self._extensions,
            "state": {RESET: self.abort},
        }
        return Reply(scope, self, self.flow, keep_alive=version == "1.1" and self.parser.should_keep_alive())

    def _start(self, reply: Reply) -> None:
        self._running = reply
        task = self.loop.create_task(reply.run_asgi(self._shared.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        self._contents_bytes += len(body)
        reply = self.cycle
        if reply.response_complete:
            return
        reply.body += body
        if len(reply.body) > HIGH_WATER_LIMIT:
            if reply is not self._running:
                # To pause would hide from the running request that its client has gone.
                self._fail(HeadError(0, ""))
            self.flow.pause_reading()
        reply.message_event.set()

    def on_message_complete(self) -> None:
        self._body_arriving = False
        self._body_bytes = self._contents_bytes = 0
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def _fail(self, error: HeadError) -> NoReturn:
        """Stop the parser."""
        self._error = error
        raise error

    # Answers

    def write(self, data: bytes) -> None:
        """Send a part of an answer."""
        if not self._ended and not self.transport.is_closing():
            self.transport.write(data)

    def is_closing(self) -> bool:
        """Return whether nothing can be sent any more."""
        return self._ended or self.transport.is_closing()

    def close(self) -> None:
        """End the connection after the answer."""
        self.end()

    def abort(self) -> None:
        """Break off the answer, so that the client does not take it for a whole one."""
        if self._running is not None:
            self._running.disconnected = True
        self._reset()

    def _reset(self) -> None:
        # Otherwise the kernel would offer what is left. And to a client of HTTP/1.0, an end like any other is a whole
        # answer.
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        self.transport.abort()

    def on_response_complete(self) -> None:
        self._running = None
        if self._ended or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            reply, _ = self.pipeline.pop()
            self._start(cast("Reply", reply))
        elif self._deaf or self.is_old:
            self._say_last_words()
        elif not self.head_begun:
            self._shared.idle[self] = self.loop.time()

    def _refuse(self, error: HeadError) -> None:
        """Read nothing more, and answer with the error after all requests that arrived before."""
        self._deaf = True
        self.head_begun = False
        self._shared.arriving.pop(self, None)
        if error.status:
            self._shared.refused[error.status] = self._shared.refused.get(error.status, 0) + 1
            self._last_words = refusal(error.status, str(error))
        if self._body_arriving:
            self._break_off(cast("Reply", self.cycle))
        if self._running is None:
            self._say_last_words()
        elif not self._last_words:
            (self.pipeline[0][0] if self.pipeline else self._running).keep_alive = False

    def _break_off(self, reply: Reply) -> None:
        """End a request whose body will never be whole."""
        self._body_arriving = False
        if reply is not self._running:
            self.pipeline.popleft()
            return
        reply.disconnected = True
        reply.message_event.set()
        if not reply.response_started:
            self._running = None
        elif not reply.response_complete:
            self.abort()

    def _say_last_words(self) -> None:
        self.write(self._last_words)
        self.end()

    # The end

    def end(self) -> None:
        """End the connection, so that the client can read the last answer.

        To close while it still sends would reset the connection, and may lose the answer on its way.
        """
        if self._ended:
            return
        self._deaf = self._ended = True
        self._shared.arriving.pop(self, None)
        self._shared.idle.pop(self, None)
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        elif not self._body_arriving:
            self.transport.close()
            return
        self._shared.ending[self] = self.loop.time()

    def drop(self) -> None:
        """End the connection at once."""
        self._shared.left(self)
        if self._running is not None and self._running.response_started:
            self._reset()
        else:
            self.transport.abort()

    def end_late_head(self) -> None:
        """End a connection whose request does not arrive; with an answer if it has begun."""
        if self.head_begun:
            self._refuse(HeadError(408, f"the headers did not arrive within {HEAD_SECONDS:g} s"))
        else:
            self.end()

    def end_lingering(self, now: float) -> None:
        """End a connection whose client had time to read the last answer, unless it still reads it."""
        del self._shared.ending[self]
        left = self.transport.get_write_buffer_size()
        if self in self._shared.unread or left not in (0, self._left):
            self._left = left
            self._shared.ending[self] = now
        else:
            self.drop()

    def end_unread(self, size: int, now: float) -> None:
        """End a connection whose client has read nothing for long."""
        del self._shared.unread[self]
        left = self.transport.get_write_buffer_size()
        if left == size:
            self._shared.left(self)
            self._reset()
        else:
            self._shared.unread[self] = now, left

    def pause_writing(self) -> None:
        super().pause_writing()
        self._shared.unread[self] = self.loop.time(), self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._shared.unread.pop(self, None)


def _tls_extension(tls: ssl.SSLObject | None) -> Mapping[str, Any]:
    """Return ASGI's description of the certificate that the client has presented."""
    certificate = tls.getpeercert(binary_form=True) if tls else None
    if not certificate:
        return _NO_EXTENSIONS
    return {"tls": {"client_cert_chain": (ssl.DER_cert_to_PEM_cert(certificate),)}}
