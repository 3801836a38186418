"""The pages of an agent: /health, /health/live and /metrics, from a few threads that nobody can hold up."""

import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from configsvc.cli.failures import CliError, UsageError
from configsvc.cli.sync.agent_status import AgentStatus

# Requests at a time. Others are closed.
MAX_REQUESTS = 16
REQUEST_SECONDS = 5.0


def checked_listen(address: str) -> tuple[str, int]:
    """Return host and port. Raises UsageError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{address!r} is no address to listen on: write HOST:PORT, for example 127.0.0.1:9090")
    return host.strip("[]"), int(port)


class _Handler(BaseHTTPRequestHandler):
    server_version = "configsvc"
    sys_version = ""
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        status = cast("_Server", self.server).status
        match self.path.partition("?")[0].rstrip("/"):
            case "/health":
                code, document = status.health()
                self._answer(code, json.dumps(document) + "\n", "application/json")
            case "/health/live":
                self._answer(200, "live\n", "text/plain; charset=utf-8")
            case "/metrics":
                self._answer(200, status.metrics(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                self._answer(404, "there are /health, /health/live and /metrics\n", "text/plain; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, code: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], status: AgentStatus) -> None:
        self.status = status
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # A client that sends a byte now and then is closed, too.
        closing = threading.Timer(REQUEST_SECONDS, _close, (request,))
        closing.daemon = True
        closing.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            closing.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go away."""


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def served(listen: str | None, status: AgentStatus) -> Generator[str]:
    """Serve the pages, if there is an address; yield it, with the port in use. Raises CliError."""
    if listen is None:
        yield ""
        return
    host, port = checked_listen(listen)
    try:
        server = _Server((host, port), status)
    except OSError as error:
        raise CliError(f"cannot listen on {listen}: {error.strerror}") from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{listen.rpartition(':')[0]}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
