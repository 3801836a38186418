"""How much fits into one response."""

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import Message

from configsvc.configurations import MAX_RESPONSE_BYTES

AnyMessage = TypeVar("AnyMessage", bound=Message)


def fitting(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    """The first of the messages, at least one, as many as fit into one response; those after them are not made."""
    shown: list[AnyMessage] = []
    size = 0
    for message in messages:
        size += message.ByteSize()
        if shown and size > MAX_RESPONSE_BYTES:
            break
        shown.append(message)
    return shown
