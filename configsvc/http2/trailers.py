"""Headers and trailers of answers."""

from base64 import b64encode

from google.rpc.status_pb2 import Status

Headers = list[tuple[bytes, bytes]]

RESPONSE: Headers = [(b":status", b"200"), (b"content-type", b"application/grpc")]
RESPONSE_GZIP: Headers = [*RESPONSE, (b"grpc-encoding", b"gzip")]
OK: Headers = [(b"grpc-status", b"0")]

_PLAIN = frozenset(range(0x20, 0x7F)) - {ord("%")}


def trailers_of(status: Status) -> Headers:
    """Return the trailers that carry a status, and its details if it has any."""
    trailers = [(b"grpc-status", b"%d" % status.code), (b"grpc-message", percent_encoded(status.message))]
    if status.details:
        # Without padding, as gRPC sends it.
        trailers.append((b"grpc-status-details-bin", b64encode(status.SerializeToString()).rstrip(b"=")))
    return trailers


def percent_encoded(text: str) -> bytes:
    """Return a message as the protocol has it: printable ASCII, anything else by its bytes in UTF-8."""
    data = text.encode("utf-8", "replace")
    if text.isascii() and text.isprintable() and "%" not in text:
        return data
    return b"".join(bytes((one,)) if one in _PLAIN else b"%%%02X" % one for one in data)
