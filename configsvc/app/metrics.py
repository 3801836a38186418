"""/metrics for Prometheus. docs/reference/metrics.md says what each metric means."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import ThreadingWSGIServer

from configsvc.telemetry.descriptors import is_shortage
from configsvc.telemetry.families import Families, counter
from configsvc.telemetry.stderr import lost_lines

# Its types are incomplete.
_untyped: Any = prometheus_client

# Each connection has a thread. A client that is slow, or one of too many, is hung up on, the oldest first.
MAX_CONNECTIONS = 16
CONNECTION_SECONDS = 10.0
# Between attempts to accept a connection without a file descriptor for it.
PAUSE_SECONDS = 0.5


def new_registry() -> CollectorRegistry:
    """Return a registry for one service, with memory, CPU time and open files of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_LogMetrics())
    return registry


class _LogMetrics:
    def collect(self) -> Families:
        yield counter("log_lines_lost", "Lines that could not be written to standard error.", lost_lines())


class BoundedServer(ThreadingWSGIServer):
    """A server with a thread for each connection, of which there are few, and none for long."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        # Oldest first, with the time at which each began.
        self._connections: dict[socket.socket, float] = {}
        super().__init__(*arguments, **more)

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection. Raises OSError."""
        try:
            return super().get_request()
        except OSError as error:
            if is_shortage(error):
                # It stays in the queue, and the server would try again without end.
                time.sleep(PAUSE_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection."""
        if len(self._connections) >= MAX_CONNECTIONS:
            self._hang_up(next(iter(self._connections)))
        self._connections[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Hang up on those that are late; called twice a second."""
        late = time.monotonic() - CONNECTION_SECONDS
        for connection, began in tuple(self._connections.items()):
            if began <= late:
                self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        """Let the thread of the connection end: whatever it waits for fails."""
        self._connections.pop(connection, None)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that its thread is done with."""
        self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: anyone could fill the log by hanging up."""


class _BoundedServerV6(BoundedServer):
    address_family = socket.AF_INET6


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@asynccontextmanager
async def served_metrics(registry: CollectorRegistry, host: str, port: int) -> AsyncGenerator[int]:
    """Serve /metrics from a thread, and yield the port. Raises OSError."""
    (family, *_), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    server_class: type[WSGIServer] = _BoundedServerV6 if family == socket.AF_INET6 else BoundedServer
    server = make_server(host, port, _untyped.make_wsgi_app(registry), server_class, _SilentHandler)
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()
