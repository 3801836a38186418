"""Replies to requests: uvicorn's side of ASGI, for clients that read slowly, leave early or speak HTTP/1.0."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from configsvc.telemetry.logs import trace_of
from configsvc.web.refusals import refusal

if TYPE_CHECKING:
    from configsvc.web.connections import Connection

log = structlog.get_logger()

_SILENT = logging.getLogger("uvicorn.error")


class Reply(RequestResponseCycle):
    """The reply to one request."""

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
        # HTTP/1.0 has no chunks: an answer of unknown length ends with the connection.
        self._until_close = False

    async def run_asgi(self, app: Any) -> None:
        """Run the application."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001  # its text may quote contents
            log.error("internal error", trace=trace_of(error))  # noqa: TRY400
        if not self.response_complete and not self.disconnected:
            self._break_off()

    def _break_off(self) -> None:
        if self.response_started:
            self._connection.abort()
        else:
            self.response_started = self.response_complete = True
            self._connection.write(refusal(500, "internal error"))
            self._connection.close()

    async def send(self, message: Any) -> None:
        """Send a part of the answer, and wait until the client has read nearly all of it."""
        if message["type"] == "http.response.start":
            self._decide(message)
        elif self._until_close and not self.disconnected:
            self._connection.write(message.get("body", b""))
            message = {**message, "body": b""}
        await super().send(message)
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    def _decide(self, message: Any) -> None:
        """Decide how the answer ends, and whether the connection ends with it."""
        if self.more_body or self._connection.is_old:
            # The rest of a body that nobody waits for is not read.
            self.keep_alive = False
        if self.scope["http_version"] == "1.0" and all(name != b"content-length" for name, _ in message["headers"]):
            self._until_close, self.chunked_encoding = True, False
