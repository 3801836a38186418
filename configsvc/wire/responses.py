"""Size limits of a response, of a list inside of it, and of one message of a stream."""

from collections.abc import Generator, Iterable
from itertools import islice

from google.protobuf.message import Message

from configsvc.domain.sizes import LISTED_BYTES, MAX_LISTED, MAX_RESPONSE_BYTES
from configsvc.wire.parsing import AnyMessage

MESSAGE_LIMIT_BYTES = 1024 * 1024
# What the other fields of a response with a list take: a page token, an epoch, numbers.
OTHER_FIELDS_BYTES = 8 * 1024
ROOM_BYTES = MAX_RESPONSE_BYTES - OTHER_FIELDS_BYTES
# A tag and a length in front of each element.
ELEMENT_BYTES = 6


def size_of(message: Message) -> int:
    """Return the bytes that a message takes as an element of a list, at most."""
    return message.ByteSize() + ELEMENT_BYTES


def fitting(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    """Return as many of the first messages as fit into one response, at least one. Further ones are not made."""
    fitted: list[AnyMessage] = []
    size = 0
    for message in messages:
        size += size_of(message)
        if fitted and size > ROOM_BYTES:
            break
        fitted.append(message)
    return fitted


def listed(messages: Iterable[AnyMessage], room: int = LISTED_BYTES) -> list[AnyMessage]:
    """Return the first MAX_LISTED messages, or as many of them as fit into the room, maybe none.

    For a list that is part of a resource: the response counts its elements in a field of its own.
    """
    fitted: list[AnyMessage] = []
    for message in islice(messages, MAX_LISTED):
        room -= size_of(message)
        if room < 0:
            break
        fitted.append(message)
    return fitted


def grouped(messages: Iterable[AnyMessage]) -> Generator[list[AnyMessage]]:
    """Yield the messages in groups of at most MESSAGE_LIMIT_BYTES; a single larger message is a group."""
    group: list[AnyMessage] = []
    size = 0
    for message in messages:
        message_bytes = size_of(message)
        if group and size + message_bytes > MESSAGE_LIMIT_BYTES - OTHER_FIELDS_BYTES:
            yield group
            group, size = [], 0
        group.append(message)
        size += message_bytes
    if group:
        yield group
