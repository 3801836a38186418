"""Replies to requests: the server's side of ASGI, for clients that read slowly, leave early or speak HTTP/1.0."""

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from configsvc.telemetry.logs import trace_of
from configsvc.web.refusals import refusal

if TYPE_CHECKING:
    from configsvc.web.connections import Connection

log = structlog.get_logger()

_SILENT = logging.getLogger("uvicorn.error")
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_CLOSE = (b"connection", b"close")
_CHUNKED = (b"transfer-encoding", b"chunked")


class Reply(RequestResponseCycle):
    """The reply to one request. uvicorn's cycle gives it the request."""

    def __init__(self, scope: Any, connection: "Connection", flow: FlowControl, *, keep_alive: bool) -> None:
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        super().__init__(
            scope=scope,
            transport=cast("Any", connection),
            flow=flow,
            logger=_SILENT,
            access_logger=_SILENT,
            access_log=False,
            default_headers=connection.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=any(name == b"expect" for name, _ in headers),
            keep_alive=keep_alive,
            on_response=connection.on_response_complete,
        )
        self._connection = connection
        # The status line and the headers, which leave with the first part of the body.
        self._head = b""
        self._has_body = True
        # What is missing of a body whose length was announced.
        self._missing: int | None = None

    async def run_asgi(self, app: Any) -> None:
        """Run the application."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001  # its text may quote contents
            log.error("internal error", trace=trace_of(error))  # noqa: TRY400
        if not self.response_complete and not self.disconnected:
            self._break_off()

    def _break_off(self) -> None:
        if self.response_started and not self._head:
            self._connection.abort()
        else:
            self.response_started = self.response_complete = True
            self._connection.write(refusal(500, "internal error"))
            self._connection.close()

    async def send(self, message: Any) -> None:
        """Send a part of the answer, and wait until the client has read nearly all of it."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            self.waiting_for_100_continue = False
            self._head = self._begun(message["status"], message["headers"])
        else:
            self._write(message["body"], more=message["more_body"])
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    def _begun(self, status: int, given: list[tuple[bytes, bytes]]) -> bytes:
        """Return the head of the answer, after a decision how the answer and its connection end."""
        headers = [*self.default_headers, *given]
        length = next((int(value) for name, value in given if name == b"content-length"), None)
        self._has_body = self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY
        # HTTP/1.0 has no chunks: an answer of unknown length ends with the connection.
        ends_with_connection = self.scope["http_version"] == "1.0" and length is None
        if self.more_body or self._connection.is_old or ends_with_connection:
            # The rest of a body that nobody waits for is not read.
            self.keep_alive = False
        if self._has_body:
            self._missing = length
            self.chunked_encoding = length is None and not ends_with_connection
        if self.chunked_encoding:
            headers.append(_CHUNKED)
        if not self.keep_alive:
            headers.append(_CLOSE)
        return _head_of(status, headers)

    def _write(self, body: bytes, *, more: bool) -> None:
        if not self._has_body:
            body = b""
        if self._missing is not None:
            self._missing -= len(body)
            if self._missing < 0 or (self._missing and not more):
                raise RuntimeError("an answer has another length than it has announced")
        if self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if more else chunk + b"0\r\n\r\n"
        head, self._head = self._head, b""
        self._connection.write(head + body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self._connection.close()
        self._connection.on_response_complete()


def _head_of(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    head = STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"
    if head.count(b"\n") != len(headers) + 2 or b"\0" in head:
        raise RuntimeError("a header of an answer has a line break")
    return head
