"""The interface of what follows the feed: the feed knows none of its observers."""

from collections.abc import Sequence

from configsvc.domain.commits import Commit, CommitPart
from configsvc.storage.listener import Listener


class FeedObserver:
    """A follower of the feed. Override what you need: these methods do nothing.

    Waiting and changing are separate methods. `refresh` and `before_waking` may use the listener's connection, and
    nobody sees the commits until they return. `apply` and `reset` must not wait: the feed's revision changes in the
    same step of the event loop, so that no read falls between the two.
    """

    async def refresh(self, listener: Listener) -> None:
        """Read again what may have changed unnoticed: on each connection, and before another history begins."""

    async def before_waking(self, parts: Sequence[CommitPart], listener: Listener) -> None:
        """Prepare for parts that nobody sees yet."""

    def apply(self, part: CommitPart) -> None:
        """Take account of the part, which becomes visible now."""

    def reset(self, last: Commit | None) -> None:
        """Discard everything read from the old history: another one begins now, after the last commit in it."""

    def confirm(self, time_seconds: float) -> None:
        """Note that everything committed before this time of the monotonic clock was applied."""
