"""Watches over HTTP, as server-sent events, with the standard library alone.

Nothing is imported later, as a forked child may wait for ever for what another thread was importing.
"""

import asyncio
import encodings.idna  # noqa: F401  # pyright: ignore[reportUnusedImport]  # names of hosts are encoded by it
import json
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from configsvc.client.addresses import HttpAddress
from configsvc.client.engine import End, Message
from configsvc.client.event_stream import EventParser, end_of, received
from configsvc.client.settings import Settings, Tls
from configsvc.client.streams import Stream
from configsvc.client.threads import in_thread

CONNECT_SECONDS = 10.0
# The addresses of a name that one attempt tries.
MOST_ADDRESSES = 8
CHUNK_BYTES = 65_536
# Of the body of an error, whose end may never come.
ERROR_BYTES = 1024 * 1024
ERROR_SECONDS = 2.0
_PATH = "/api/v1/configurations:watch"
_EVENTS = "text/event-stream"
# As those of the gRPC transport: a peer that is gone is noticed after 20 s and three probes in 10 s.
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))

# As getaddrinfo returns it.
Found = tuple[int, int, int, str, Any]


class HttpTransport:
    """Opens the streams of one client."""

    def __init__(self, settings: Settings) -> None:
        assert settings.http
        self._address = settings.http
        self._tls = settings.tls if isinstance(settings.tls, Tls) else Tls()
        self._names = Names(settings.http)
        self._request = _request_of(settings)

    @asynccontextmanager
    async def stream(self, resume_token: str, bearer: str) -> AsyncGenerator[Stream]:
        """Open a stream that resumes from the token; empty: that begins with a snapshot."""
        request = self._request | ({"resume_token": resume_token} if resume_token else {})
        with await self._connected() as connection:
            # It stays blocked where the connection alone would be closed.
            stream = Stream(self._messages(connection, request, bearer), interrupt=lambda: _interrupt(connection))
            try:
                yield stream
            finally:
                await stream.close()

    async def _connected(self) -> socket.socket:
        """Return a connection to the first address that answers. Raises OSError."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = (await self._names.look_up())[:MOST_ADDRESSES]
        except TimeoutError:
            raise OSError(f"the name {self._address.host} was not found within {CONNECT_SECONDS:g} s") from None
        failures: list[str] = []
        for one in found:
            try:
                # An address that swallows everything leaves the others their time.
                async with asyncio.timeout(CONNECT_SECONDS / len(found)):
                    return await _connect(one)
            except TimeoutError:
                failures.append(f"{one[4][0]} does not answer")
            except OSError as error:
                failures.append(f"{one[4][0]}: {error}")
        raise OSError(f"{self._address.host} port {self._address.port}: {'; '.join(failures)}")

    def _messages(self, connected: socket.socket, request: dict[str, Any], bearer: str) -> Generator[Message | End]:
        """Yield the messages of a watch, in the thread of its stream."""
        connection = HTTPConnection(self._address.host, self._address.port)
        connection.default_port = 443 if self._address.is_secure else 80
        # Never by itself: it would not be bounded.
        connection.auto_open = 0
        try:
            secured = connection.sock = self._secured(connected.dup())
            connection.request("POST", self._address.path + _PATH, json.dumps(request), _headers(bearer))
            secured.settimeout(None)
            with connection.getresponse() as answer:
                yield from _messages_of(answer, secured)
        except (OSError, HTTPException) as error:
            yield End(code="UNAVAILABLE", text=f"UNAVAILABLE: {error or type(error).__name__}")
        finally:
            connection.close()

    def _secured(self, connected: socket.socket) -> socket.socket:
        """Return the connection with TLS, if the address says so. Files are read anew."""
        connected.settimeout(CONNECT_SECONDS)
        if not self._address.is_secure:
            return connected
        try:
            for file in filter(None, (self._tls.authority, self._tls.certificate, self._tls.key)):
                # An error of ssl does not name the file.
                Path(file).open("rb").close()
            context = ssl.create_default_context(cafile=self._tls.authority)
            context.set_alpn_protocols(["http/1.1"])
            if self._tls.certificate:
                context.load_cert_chain(self._tls.certificate, self._tls.key)
            return context.wrap_socket(connected, server_hostname=self._address.host)
        except BaseException:
            connected.close()
            raise


class Names:
    """Looks up the name of a host in a thread, one at a time: a look-up that hangs cannot be ended."""

    def __init__(self, address: HttpAddress) -> None:
        self._address = address
        self._is_busy = False

    async def look_up(self) -> Sequence[Found]:
        """Return the addresses of the host. Raises OSError."""
        with suppress(socket.gaierror):
            return self._found(socket.AI_NUMERICHOST)
        if self._is_busy:
            raise OSError(f"the name {self._address.host} is still being looked up")
        return await in_thread(self._look_up, "configsvc-names")

    def _look_up(self) -> Sequence[Found]:
        self._is_busy = True
        try:
            return self._found(0)
        except socket.gaierror as error:
            raise OSError(f"the name {self._address.host} is not found: {error.strerror}") from error
        finally:
            self._is_busy = False

    def _found(self, flags: int) -> Sequence[Found]:
        return socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM, flags=flags)


async def _connect(found: Found) -> socket.socket:
    family, kind, protocol, _, address = found
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            # Not on every system.
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def _interrupt(connection: socket.socket) -> None:
    # Not if it has ended already.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _request_of(settings: Settings) -> dict[str, Any]:
    selector: dict[str, Any] = {"application": {"name": settings.application}}
    if settings.names:
        selector["names"] = list(settings.names)
    if settings.prefix:
        selector["name_prefix"] = settings.prefix
    instance = settings.instance
    return {
        "selectors": [selector],
        "progress_interval": f"{settings.bookmark_seconds:.3f}s",
        "instance": {
            "id": instance.id,
            "labels": dict(instance.labels),
            "program": instance.program,
            "version": instance.version,
        },
    }


def _headers(bearer: str) -> dict[str, str]:
    headers = {"Accept": _EVENTS, "Content-Type": "application/json", "User-Agent": "configsvc-client"}
    return headers | ({"Authorization": f"Bearer {bearer}"} if bearer else {})


def _messages_of(answer: HTTPResponse, connection: socket.socket) -> Iterator[Message | End]:
    if answer.status != HTTPStatus.OK:
        yield _refusal_of(answer, connection)
        return
    kind = answer.headers.get_content_type()
    if kind != _EVENTS:
        yield End(text=f"the answer is {kind}, and not of the service: is the address right?")
        return
    coding = answer.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        yield End(text=f"the answer is compressed ({coding}), which was not asked for: let the proxy pass it as it is")
        return
    events = EventParser()
    while chunk := answer.read1(CHUNK_BYTES):
        yield from map(received, events.feed(chunk))


def _refusal_of(answer: HTTPResponse, connection: socket.socket) -> End:
    """Return the end that an error is. One that is not of the service has no reason, and is tried again."""
    if answer.status // 100 == 3:
        return End(text=f"the answer is a redirect ({answer.status}), which is not followed: set the address itself")
    try:
        return end_of(_body_of(answer, connection).decode())
    except ValueError:
        return End(code="UNAVAILABLE", text=f"UNAVAILABLE: the answer is HTTP {answer.status}, not of the service")


def _body_of(answer: HTTPResponse, connection: socket.socket) -> bytes:
    """Return the body of an error, as far as it comes in time."""
    body, until = b"", time.monotonic() + ERROR_SECONDS
    while len(body) < ERROR_BYTES and (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            chunk = answer.read1(CHUNK_BYTES)
        except TimeoutError:
            break
        if not chunk:
            break
        body += chunk
    return body
