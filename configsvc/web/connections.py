"""Connections of HTTP clients, as uvicorn has them, with what streams need beside."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from configsvc.web.exchange import RESET


class Connection(HttpToolsProtocol):
    """A connection whose running request always learns of its end, and can close it at once."""

    _running: Any = None

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["state"] = {RESET: self._reset}

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _reset(self) -> None:
        self._running.disconnected = True
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the running request, even if the client has sent another one behind it."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)
