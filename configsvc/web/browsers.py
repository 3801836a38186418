"""Protection from browsers: pages of other sites must not use a service that their visitors can reach.

Without authentication, the service trusts whoever can reach its address, and a browser on that machine can. A client
certificate is sent by a browser for any page. So pages are told apart by headers that no page can change.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from configsvc.web.exchange import Exchange, Headers

MAX_AGE_SECONDS = 600
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_ANSWER_HEADERS = b"etag, location, retry-after, x-configsvc-revision, x-configsvc-epoch, x-configsvc-changed"
# Nobody can register a name that ends like these; nor one without a dot.
_PRIVATE = (".localhost", ".local", ".internal", ".svc", ".home.arpa")
_HOST = re.compile(r"(?:(?P<name>[^\[\]:@/?#\s]+)|\[(?P<address>[0-9a-fA-F:.]+)\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserRules:
    """The origins whose pages may use the service, and whether it trusts everybody who reaches it."""

    origins: frozenset[str]
    trusts_everybody: bool

    def refusal(self, exchange: Exchange) -> str | None:
        """Return why a request is refused; None if it is not. Raises InvalidRequestError."""
        host = exchange.header(b"host") or ""
        if self.trusts_everybody and not _is_own_name(host, self.origins, locally=_reached_locally(exchange)):
            return (
                f"the Host header is {host[:100]!r}: without authentication, the service has no public name. Use "
                "localhost, an address, or a name that CONFIGSVC_CORS_ORIGINS has"
            )
        origin = exchange.header(b"origin")
        if origin is None:
            return _foreign_page(exchange)
        if origin in self.origins or _is_own_page(origin, host, exchange.scope["scheme"]):
            return None
        return f"pages of {origin[:100]} may not use this service: see CONFIGSVC_CORS_ORIGINS"

    def headers(self, exchange: Exchange) -> Headers:
        """Return the headers that let a page of an allowed origin read the answer."""
        if not self.origins:
            return []
        headers: Headers = [(b"vary", b"origin")]
        origins = [value for name, value in exchange.headers if name == b"origin"]
        if len(origins) == 1 and origins[0].decode("latin-1") in self.origins:
            headers.append((b"access-control-allow-origin", origins[0]))
            headers.append((b"access-control-expose-headers", _ANSWER_HEADERS))
        return headers

    def preflight(self, exchange: Exchange) -> Headers:
        """Return further headers of the answer to a preflight request; none if it is not an allowed one."""
        origin, method = exchange.header(b"origin"), exchange.header(b"access-control-request-method")
        if origin not in self.origins or method is None:
            return []
        asked = exchange.header(b"access-control-request-headers")
        return [
            (b"access-control-allow-methods", _METHODS),
            *([(b"access-control-allow-headers", asked.encode("latin-1"))] if asked else []),
            (b"access-control-max-age", str(MAX_AGE_SECONDS).encode()),
        ]


def _reached_locally(exchange: Exchange) -> bool:
    """Return whether the client has connected to an address that only this machine has, whatever is listened on."""
    server = exchange.scope.get("server")
    return server is not None and _is_loopback(server[0])


# Nearly all requests have the same few.
@lru_cache(maxsize=64)
def _is_own_name(host: str, origins: frozenset[str], *, locally: bool) -> bool:
    """Return whether nobody else can own the name that the service was reached under.

    A page of its owner would be taken for one of ours once the name resolves to this address (DNS rebinding).
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["name"] or match["address"]).lower()
    if any(urlsplit(origin).netloc.lower() == host.lower() for origin in origins):
        return True
    if locally:
        return name == "localhost" or _is_loopback(name)
    return "." not in name or name.endswith(_PRIVATE) or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return ((isinstance(address, IPv6Address) and address.ipv4_mapped) or address).is_loopback


def _foreign_page(exchange: Exchange) -> str | None:
    """Return a refusal for a request of another site's page that says so; links to this service still work."""
    site, mode = exchange.header(b"sec-fetch-site"), exchange.header(b"sec-fetch-mode")
    if site not in ("cross-site", "same-site"):
        return None
    if mode == "navigate" and exchange.scope["method"] in ("GET", "HEAD"):
        return None
    return "pages of other sites may not use this service: see CONFIGSVC_CORS_ORIGINS"


def _is_own_page(origin: str, host: str, scheme: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    # A proxy may have taken the TLS away, but nobody adds it.
    return bool(host) and parts.netloc.lower() == host.lower() and (scheme == "http" or parts.scheme == "https")
