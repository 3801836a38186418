"""Digests that tell whether two requests ask for the same."""

from hashlib import sha256

from google.protobuf.message import Message


def fingerprint(request: Message, *, without: tuple[str, ...], salt: str = "") -> bytes:
    """A digest of the request, but for some of its fields; two equal ones have the same, whatever the order of their
    maps.
    """
    copy = type(request)()
    copy.CopyFrom(request)
    for field in without:
        copy.ClearField(field)
    text = f"{request.DESCRIPTOR.full_name}\n{salt}\n"
    return sha256(text.encode() + copy.SerializeToString(deterministic=True)).digest()
