"""Encoding of watch messages: small ones on the event loop, large ones in a thread."""

from functools import partial

from configsvc.domain.commits import History
from configsvc.domain.watching import CommitMessage, ExistingMessage, OpenedMessage, ProgressMessage, WatchMessage
from configsvc.offload.threads import LargeAnswers
from configsvc.wire.watches import encoded_commit, encoded_opened, encoded_progress, encoded_snapshot


class WatchEncoder:
    """Encodes watch messages without blocking other calls."""

    def __init__(self, large: LargeAnswers) -> None:
        self._large = large

    async def encoded(self, history: History, message: WatchMessage) -> tuple[bytes, ...]:
        """Return the responses that carry the message: several if it is larger than MESSAGE_LIMIT_BYTES."""
        match message:
            case CommitMessage():
                make = partial(encoded_commit, history.epoch, message)
                # The first watch of an audience encodes the message; the others find it when their turn comes.
                return await self._large.run(make, lambda: message.encoded) if message.is_large else make()
            case ExistingMessage():
                make = partial(encoded_snapshot, history.epoch, message)
                return await self._large.run(make) if message.is_large else make()
            case OpenedMessage():
                return encoded_opened(history.epoch, message)
            case ProgressMessage():
                return encoded_progress(history.epoch, message)
