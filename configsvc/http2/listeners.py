"""The addresses of a server, and the sockets that listen on them."""

import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from configsvc.process.ports import listening_sockets
from configsvc.process.sockets import SCHEME
from configsvc.process.startup import StartError

BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address to listen on: host:port or unix:path. Without a context, connections are in clear text."""

    listen: str
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """The sockets of one address."""

    sockets: Sequence[socket.socket]
    tls: ssl.SSLContext | None

    @property
    def port(self) -> int:
        """The port of all the sockets; 1 for a unix socket, as in gRPC."""
        one = self.sockets[0]
        return 1 if one.family == socket.AF_UNIX else one.getsockname()[1]


def listening(address: Address, *, shared: bool) -> Listening:
    """Return the sockets of an address. Raises StartError."""
    if address.listen.startswith(SCHEME):
        return Listening(sockets=(_unix_socket(address.listen),), tls=address.tls)
    return Listening(sockets=listening_sockets(address.listen, backlog=BACKLOG, shared=shared), tls=address.tls)


def _unix_socket(listen: str) -> socket.socket:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.bind(os.fsdecode(unquote_to_bytes(listen.removeprefix(SCHEME))))
        one.listen(BACKLOG)
    except OSError as error:
        one.close()
        raise StartError(f"cannot listen on {listen}: {error.strerror}") from error
    return one
