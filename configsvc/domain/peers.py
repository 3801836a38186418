"""Addresses of clients behind trusted proxies."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from urllib.parse import unquote

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# A client can send any number of addresses; a chain of proxies is short.
MAX_HOPS = 32
UNIX = "unix:"

_HOST = re.compile(
    r"(?P<v4>[0-9.]{7,15})(:[0-9]{1,5})?|\[(?P<bracketed>[0-9a-fA-F:.]{2,45})\](:[0-9]{1,5})?|"
    r"(?P<v6>[0-9a-fA-F:.]{2,45})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """The proxies whose statement about their clients' addresses counts."""

    networks: tuple[Network, ...]
    unix_sockets: bool

    def __bool__(self) -> bool:
        return bool(self.networks) or self.unix_sockets

    def client_of(self, peer: str, forwarded: Iterable[str]) -> str:
        """Return the address of the client, which is the peer's unless the peer is a trusted proxy.

        Each proxy appends the address of its own peer to `forwarded`, the values of X-Forwarded-For. So the last
        address that is no proxy's is the client's; anything before it, or before something unreadable, may be forged.
        """
        if not self._trusts(peer):
            return peer
        known = peer
        for text in islice(_last_first(forwarded), MAX_HOPS):
            address = _address(text)
            if address is None:
                break
            known = _peer_text(address)
            if not self._contains(address):
                break
        return known

    def _trusts(self, peer: str) -> bool:
        if peer.startswith(UNIX):
            return self.unix_sockets
        address = _address(unquote(peer.partition(":")[2]))
        return address is not None and self._contains(address)

    def _contains(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def trusted_proxies(text: str) -> TrustedProxies:
    """Return the proxies of a comma-separated list of addresses, networks and unix:. Raises ValueError."""
    entries = [entry for part in text.split(",") if (entry := part.strip())]
    networks = tuple(_network(entry) for entry in entries if entry != UNIX)
    return TrustedProxies(networks=networks, unix_sockets=UNIX in entries)


def _network(entry: str) -> Network:
    try:
        network = ip_network(entry)
    except ValueError as error:
        raise ValueError(
            f"{entry!r} must be an address, a network such as 10.0.0.0/8 without host bits, or {UNIX} for unix sockets"
        ) from error
    if not network.prefixlen:
        raise ValueError(f"{entry!r} contains all addresses: every client could choose the one that is recorded")
    return network


def host_of(peer: str) -> str:
    """Return a peer without its port."""
    host, _, port = peer.rpartition(":")
    return host if port.isdigit() else peer


def _last_first(values: Iterable[str]) -> Iterable[str]:
    for value in reversed([*values]):
        yield from (part.strip(" \t") for part in reversed(value.rsplit(",", MAX_HOPS)))


def _address(text: str) -> Address | None:
    """Return an address, with or without a port; an IPv4 address also if it is written as an IPv6 one."""
    match = _HOST.fullmatch(text)
    if not match:
        return None
    try:
        address = ip_address(match["v4"] or match["bracketed"] or match["v6"])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _peer_text(address: Address) -> str:
    """Return an address as gRPC writes that of a peer; its port is not known."""
    return f"ipv4:{address}" if isinstance(address, IPv4Address) else f"ipv6:%5B{address}%5D"
