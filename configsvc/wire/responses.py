"""Size limits of a response and of one message of a stream."""

from collections.abc import Generator, Iterable
from itertools import islice

from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.wire.parsing import AnyMessage

MESSAGE_LIMIT_BYTES = 1024 * 1024
# The most that a list has beside the subject of a response: faults, additions, offenders. Others are counted.
MAX_LISTED = 100
# The tag and the length of a message in a list.
FRAME_BYTES = 6


def fitting(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    """Return as many of the first messages as fit into one response, at least one. Further ones are not made."""
    fitted: list[AnyMessage] = []
    size = 0
    for message in messages:
        size += message.ByteSize()
        if fitted and size > MAX_RESPONSE_BYTES:
            break
        fitted.append(message)
    return fitted


def within(messages: Iterable[AnyMessage], limit_bytes: int) -> list[AnyMessage]:
    """Return the first messages, MAX_LISTED at most, that fit into limit_bytes of a response beside other fields."""
    found: list[AnyMessage] = []
    for message in islice(messages, MAX_LISTED):
        limit_bytes -= message.ByteSize() + FRAME_BYTES
        if limit_bytes < 0:
            break
        found.append(message)
    return found


def grouped(messages: Iterable[AnyMessage]) -> Generator[list[AnyMessage]]:
    """Yield the messages in groups of at most MESSAGE_LIMIT_BYTES; a single larger message is a group."""
    group: list[AnyMessage] = []
    size = 0
    for message in messages:
        message_bytes = message.ByteSize()
        if group and size + message_bytes > MESSAGE_LIMIT_BYTES:
            yield group
            group, size = [], 0
        group.append(message)
        size += message_bytes
    if group:
        yield group
