"""Protection from browsers: pages of other sites must not use a service that their visitors can reach.

Without authentication, the service trusts whoever can reach its address. A browser on that machine can, and runs the
pages of strangers.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from configsvc.web.exchange import Exchange, Headers

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_AGE_SECONDS = 600
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_ANSWER_HEADERS = b"etag, retry-after, x-configsvc-revision, x-configsvc-epoch, x-configsvc-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserRules:
    """The origins whose pages may use the service, and whether it is reached under names of this machine only."""

    origins: frozenset[str]
    local_only: bool

    def refusal(self, exchange: Exchange) -> str | None:
        """Return why a request is refused; None if it is not."""
        host = exchange.header(b"host") or ""
        if self.local_only and _name_of(host) not in LOCAL:
            # A name of somebody else that resolves to this machine (DNS rebinding).
            return f"the Host header is {host[:100]!r}: this address is for this machine only, as localhost"
        origin = exchange.header(b"origin")
        if origin is None or origin in self.origins or _is_same(origin, host):
            return None
        return f"pages of {origin[:100]} may not use this service: see CONFIGSVC_CORS_ORIGINS"

    def headers(self, exchange: Exchange) -> Headers:
        """Return the headers that let a page of an allowed origin read the answer."""
        if not self.origins:
            return []
        headers: Headers = [(b"vary", b"origin")]
        origin = exchange.header(b"origin")
        if origin is not None and origin in self.origins:
            headers.append((b"access-control-allow-origin", origin.encode()))
            headers.append((b"access-control-expose-headers", _ANSWER_HEADERS))
        return headers

    def preflight(self, exchange: Exchange) -> Headers:
        """Return the headers of the answer to a preflight request."""
        asked = exchange.header(b"access-control-request-headers") or ""
        return [
            *self.headers(exchange),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", str(MAX_AGE_SECONDS).encode()),
        ]


def is_loopback(listen: str) -> bool:
    """Return whether only this machine reaches an address."""
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False
