"""Ports shared by the processes of one service and nobody else."""

import errno
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

from configsvc.process.startup import StartError

# Errors of addresses that getaddrinfo returns and this machine lacks, such as ::1 where IPv6 is off.
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@contextmanager
def shared_port(listen: str) -> Generator[str]:
    """Reserve an address for processes of this user that listen with SO_REUSEPORT, and yield it with its bound port.

    Accepts no connections. Raises StartError.
    """
    host, _, port = listen.rpartition(":")
    with ExitStack() as kept:
        try:
            number = int(port) or _free_port(host)
            for family, address in _addresses(host):
                kept.enter_context(_keep(family, address, number))
        except OSError as error:
            raise StartError(f"cannot listen on {listen}: it is in use, or not an address of this machine") from error
        yield f"{host}:{number}"


def listening_sockets(listen: str, *, backlog: int, shared: bool) -> list[socket.socket]:
    """Return a listening socket for each address of a host, all with one port. Raises StartError.

    Processes can share the port only if all of them set `shared`.
    """
    host, _, port = listen.rpartition(":")
    sockets: list[socket.socket] = []
    try:
        number = int(port) or _free_port(host)
        for family, address in _addresses(host):
            sockets.append(_listening(family, address, number, backlog=backlog, shared=shared))
            # Connections inherit it. asyncio sets it only where sockets name their protocol; otherwise the second piece
            # of an answer waits 40 ms for the client to acknowledge the first.
            sockets[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        for one in sockets:
            one.close()
        raise StartError(f"cannot listen on {listen}: it is in use, or not an address of this machine") from error
    return sockets


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    name = host.strip("[]")
    if _is_wildcard(name) and socket.has_dualstack_ipv6():
        # As in gRPC, 0.0.0.0 means all addresses, of IPv4 and IPv6.
        return [(socket.AF_INET6, "::")]
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
    return [(family, address) for family, address in addresses if _is_here(family, address)] or addresses


def _is_wildcard(name: str) -> bool:
    try:
        return ip_address(name).is_unspecified
    except ValueError:
        return False


def _is_here(family: socket.AddressFamily, address: str) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise
    return True


def _free_port(host: str) -> int:
    family, address = _addresses(host)[0]
    with _listening(family, address, 0) as probe:
        return probe.getsockname()[1]


def _keep(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # Listening fails if another program listens. A bind with SO_REUSEPORT alone would also fail for connections that
    # ended a moment ago.
    kept = _listening(family, address, port)
    kept.shutdown(socket.SHUT_RDWR)
    # Still bound: from now on only sockets with SO_REUSEPORT can bind too.
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return kept


def _listening(
    family: socket.AddressFamily, address: str, port: int, *, backlog: int | None = None, shared: bool = False
) -> socket.socket:
    return socket.create_server(
        (address, port),
        family=family,
        backlog=backlog,
        reuse_port=shared,
        dualstack_ipv6=_is_wildcard(address) and family == socket.AF_INET6,
    )
