"""The headers of a request: judged before its body."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from google.rpc.code_pb2 import Code

from configsvc.api.tenants import TENANT_KEY, TENANT_REFUSED
from configsvc.domain.connections import MAX_METADATA_BYTES
from configsvc.http2.refusals import HttpRefusedError, RefusedError

Pairs = Sequence[tuple[bytes, bytes]]

# What HPACK counts of each header beside its name and its value.
OVERHEAD_BYTES = 32
_TENANT = TENANT_KEY.encode()
_CONTENT_TYPE = b"application/grpc"
_ENCODINGS = (b"", b"identity", b"gzip")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MAX_TIMEOUT_DIGITS = 8


class Head(NamedTuple):
    """The headers of a call: its path, how long its client waits, and what its messages are compressed with."""

    path: bytes
    timeout_seconds: float | None
    encoding: bytes
    takes_gzip: bool


# Of a stream that is open: its headers have been judged.
JUDGED = Head(path=b"", timeout_seconds=None, encoding=b"", takes_gzip=False)


def head_of(pairs: Pairs) -> Head:
    """Return the head of a call. Raises HttpRefusedError, RefusedError or InvalidRequestError."""
    found = dict(pairs)
    if found.get(b":method") != b"POST":
        raise HttpRefusedError(405, "gRPC uses POST")
    content_type = found.get(b"content-type", b"").lower()
    if not content_type.startswith(_CONTENT_TYPE) or content_type[len(_CONTENT_TYPE) :][:1] not in (b"", b"+", b";"):
        raise HttpRefusedError(415, "the content-type must be application/grpc")
    if metadata_bytes(pairs) > MAX_METADATA_BYTES:
        raise RefusedError(Code.RESOURCE_EXHAUSTED, f"the metadata have more than {MAX_METADATA_BYTES} bytes")
    if _TENANT in found:
        raise TENANT_REFUSED
    encoding = found.get(b"grpc-encoding", b"")
    if encoding not in _ENCODINGS:
        raise RefusedError(Code.UNIMPLEMENTED, f"grpc-encoding {encoding.decode('latin-1')[:40]} is not supported")
    timeout = found.get(b"grpc-timeout")
    return Head(
        path=found.get(b":path", b""),
        timeout_seconds=None if timeout is None else _seconds(timeout),
        encoding=encoding,
        takes_gzip=b"gzip" in found.get(b"grpc-accept-encoding", b""),
    )


def metadata_bytes(pairs: Pairs) -> int:
    """Return the size of headers as HTTP/2 counts it."""
    return sum(map(len, chain.from_iterable(pairs))) + OVERHEAD_BYTES * len(pairs)


def values_of(pairs: Pairs, wanted: bytes) -> list[str]:
    """Return the values of a header."""
    return [value.decode("latin-1") for name, value in pairs if name == wanted]


def _seconds(timeout: bytes) -> float:
    digits, unit = timeout[:-1], _UNITS.get(timeout[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _MAX_TIMEOUT_DIGITS:
        raise RefusedError(Code.INTERNAL, "grpc-timeout is malformed")
    return int(digits) * unit
