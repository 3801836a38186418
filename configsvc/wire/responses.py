"""Size limits of a response and of one message of a stream."""

from collections.abc import Generator, Iterable

from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from configsvc.wire.parsing import AnyMessage

MESSAGE_LIMIT_BYTES = 1024 * 1024


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
