"""Answers to requests that reach no method, in the bytes of HTTP/1.1."""

from http import HTTPStatus

from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from configsvc.web.errors import error_body
from configsvc.web.security_headers import SECURITY_HEADERS

_CODES = {500: Code.INTERNAL, 501: Code.UNIMPLEMENTED, 505: Code.UNIMPLEMENTED, 408: Code.DEADLINE_EXCEEDED}


def refusal(status: int, text: str) -> bytes:
    """Return a whole answer, after which the connection ends."""
    body = error_body(Status(code=_CODES.get(status, Code.INVALID_ARGUMENT), message=text))
    headers = (
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *SECURITY_HEADERS,
    )
    lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
    return b"\r\n".join((*lines, *(b"%s: %s" % header for header in headers), b"", body))
