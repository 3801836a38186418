"""Bytes to request messages."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from configsvc.domain.errors import InvalidRequestError, Violation
from configsvc.wire.unknown_fields import refuse_unknown_fields

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parsed(request_class: type[AnyMessage], data: bytes) -> AnyMessage:
    """Return the request that the bytes encode. Raises InvalidRequestError or UnsupportedFieldError."""
    try:
        request = request_class.FromString(data)
    except DecodeError as error:
        raise malformed(request_class.DESCRIPTOR.full_name) from error
    refuse_unknown_fields(request)
    return request


def malformed(message_name: str) -> InvalidRequestError:
    """Return the error for bytes that do not encode the message."""
    description = (
        f"is not a {message_name}: its bytes are malformed, a string is not UTF-8, or a google.protobuf.Struct is "
        "nested deeper than 32 levels"
    )
    return InvalidRequestError((Violation(field="request", description=description),))
