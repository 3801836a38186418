"""TLS handshakes on the event loop of the program, which reads before a task can begin."""

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from configsvc.process.certificates import CertificateFiles
from configsvc.process.handshakes import Handshake
from configsvc.process.tls import renewed_context
from tests.identity.authorities import Authority, files_in

LIMIT_SECONDS = 20.0


class Room:
    """Room for any number."""

    def __init__(self) -> None:
        self.handshakes: dict[Handshake, float] = {}
        self.tasks: set[asyncio.Task[Any]] = set()

    def make_room(self) -> bool:
        return True


class Echo(asyncio.Protocol):
    """A connection that sends back what it receives."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def echoed(context: ssl.SSLContext) -> bytes:
    """Return what comes back over TLS; client and server share a loop, so that the hello is there at once."""
    room = Room()
    loop = asyncio.get_running_loop()
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_alpn_protocols(["h2"])
    listener = await loop.create_server(partial(Handshake, room, context, Echo), "127.0.0.1", 0)
    async with listener, asyncio.timeout(LIMIT_SECONDS):
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname(), ssl=client)
        writer.write(b"hello")
        found = await reader.readexactly(5)
        writer.close()
        assert room.handshakes == {}
        return found


def test_a_hello_that_arrives_before_its_handshake_begins_is_answered(tmp_path: Path) -> None:
    files = files_in(tmp_path, Authority())
    certificates = CertificateFiles(files.certificate, files.key, None)
    context = renewed_context(certificates.current, ssl.CERT_NONE, "h2")
    assert uvloop.run(echoed(context)) == b"hello"
