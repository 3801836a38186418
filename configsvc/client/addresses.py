"""Addresses of a service: those of gRPC, and URLs of the HTTP door."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

_SCHEMES = ("http://", "https://")
_SOCKETS = ("unix:", "unix-abstract:")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAddress:
    """The HTTP door of a service, or of a proxy before it: `path` is what goes before the paths of the contract."""

    is_secure: bool
    host: str
    port: int
    path: str


def is_http(address: str) -> bool:
    """Return whether an address is one of the HTTP door."""
    return address.lower().startswith(_SCHEMES)


def http_address_of(url: str) -> HttpAddress:
    """Return the parts of a URL. Raises ValueError, without the URL, which may have a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        raise ValueError("the HTTP address is no URL: its host or port is wrong") from None
    if not is_http(url) or not host:
        raise ValueError("an HTTP address is https://host, http://host:port or the like, with a path or without")
    # urlsplit leaves out line breaks.
    is_plain = url.isprintable() and " " not in url and parts.path.isascii()
    if "@" in parts.netloc or parts.query or parts.fragment or not is_plain:
        raise ValueError("an HTTP address has no user, no parameters and no fragment, and its path is encoded")
    is_secure = parts.scheme == "https"
    return HttpAddress(
        is_secure=is_secure, host=host, port=port or (443 if is_secure else 80), path=parts.path.rstrip("/")
    )


def is_local(address: str) -> bool:
    """Return whether an address is of this machine."""
    if is_http(address):
        return _is_loopback(http_address_of(address).host)
    if address.startswith(_SOCKETS):
        return True
    addresses = address.removeprefix("ipv4:").removeprefix("ipv6:").split(",")
    return all(_is_loopback(one.rpartition(":")[0].strip("[]")) for one in addresses)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
