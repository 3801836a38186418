"""Digests of requests."""

from hashlib import sha256

from google.protobuf.message import Message


def fingerprint(request: Message, *, without: tuple[str, ...], salt: str) -> bytes:
    """Return a digest of the request without some fields. The order of map entries does not matter."""
    copy = type(request)()
    copy.CopyFrom(request)
    for field in without:
        copy.ClearField(field)
    text = f"{request.DESCRIPTOR.full_name}\n{salt}\n"
    return sha256(text.encode() + copy.SerializeToString(deterministic=True)).digest()
