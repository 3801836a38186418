"""Request lines and headers: what every request must have, whatever it asks for."""

from typing import Any

import httptools

from configsvc.web.exchange import Headers

MAX_TARGET_BYTES = 16 * 1024
# Room for two tokens, as over gRPC.
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100


class HeadError(Exception):
    """A request that is refused before any method sees it. Status 0: without an answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def checked_target(url: bytes, method: str, headers: Headers) -> tuple[bytes, bytes]:
    """Return the path and the query. Puts the host of a target that has one into the headers. Raises HeadError."""
    if method == "CONNECT":
        raise HeadError(501, "CONNECT is for proxies, and this is none")
    if url == b"*":
        return b"*", b""
    try:
        # Its types do not have what may be missing.
        target: Any = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError as error:
        raise HeadError(400, "the target of the request must be a path, or a URL") from error
    if target.fragment is not None or target.userinfo is not None:
        raise HeadError(400, "the target of the request has a fragment or a user, which never leave a client")
    if target.host is not None:
        _use_host(target, headers)
    return target.path or b"/", target.query or b""


def _use_host(target: Any, headers: Headers) -> None:
    """Replace the header `host`, as RFC 9112, 3.2.2 demands."""
    if target.schema not in (b"http", b"https"):
        raise HeadError(400, "the scheme of the target must be http or https")
    host = b"[%s]" % target.host if b":" in target.host else target.host
    named = host if target.port is None else b"%s:%d" % (host, target.port)
    for index, (name, _) in enumerate(headers):
        if name == b"host":
            headers[index] = (b"host", named)


def check_framing(version: str, headers: Headers) -> None:
    """Check that every program sees the same request: one host, and one length. Raises HeadError.

    The parser refuses contradictory lengths itself.
    """
    if version not in ("1.0", "1.1"):
        raise HeadError(505, "only HTTP/1.1 and HTTP/1.0 are supported")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and not (version == "1.0" and not hosts):
        raise HeadError(400, "the request must have one Host header")
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (version == "1.0" or codings != [b"chunked"]):
        raise HeadError(501, "the only transfer encoding is: chunked, in HTTP/1.1")
    expected = [value.lower() for name, value in headers if name == b"expect"]
    if expected and expected != [b"100-continue"]:
        raise HeadError(417, "the only expectation is: 100-continue")
