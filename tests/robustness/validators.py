"""One judge for each promise. Each checks what one client saw against the log, and fails with an AssertionError."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from grpc import StatusCode

from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.robustness.clients import Life
from tests.robustness.followers import Sight
from tests.robustness.readers import LatestRead
from tests.robustness.traffic import Outcome, Write
from tests.watch import validators
from tests.watch.history import History, selected
from tests.watch.recording import is_bookmark

# Reasons that may end a watch; after OUT_OF_RANGE, the history is gone.
TOLD = {
    StatusCode.UNAVAILABLE: {"", "DATABASE_UNAVAILABLE", "DATABASE_BUSY", "SHUTTING_DOWN"},
    StatusCode.OUT_OF_RANGE: {"EPOCH_CHANGED", "REVISION_UNKNOWN", "REVISION_COMPACTED"},
}


def ordered(life: Life, history: History) -> None:
    """Check that revisions never go back, on one stream and over its resumptions."""
    validators.ordered(life.joined)


def unique(life: Life, history: History) -> None:
    """Check that no event comes twice, on one stream and over its resumptions."""
    validators.unique(life.joined)


def reliable(life: Life, history: History) -> None:
    """Check that every change comes, as the log has it, and that the snapshot is the state at its revision."""
    validators.reliable(life.joined, history)
    for stream in life.streams:
        validators.snapshot(stream.recording, history)
        validators.opened_first(stream.recording)
        validators.synced_once(stream.recording)


def atomic(life: Life, history: History) -> None:
    """Check that the changes of one commit come in one message, or in several with `more` on all but the last."""
    for stream in life.streams:
        validators.atomic(stream.recording, history)


def resumable(life: Life, history: History) -> None:
    """Check that a message has a token exactly if the watch can be resumed after it, and that it is resumed there."""
    for stream in life.streams:
        validators.tokens(stream.recording)
    for first, second in pairwise(stream.recording for stream in life.streams):
        assert second.request.resume_token == first.resume_token
        for message in second.messages[:1]:
            assert message.revision == first.revision
    validators.one_epoch(life.joined)


def bookmarkable(life: Life, history: History) -> None:
    """Check that everything up to the revision of a bookmark was delivered before it."""
    validators.bookmarkable(life.joined, history)


def live_or_told(life: Life, history: History) -> None:
    """Check that a watch continues, or ends with an error that says why, and never gets ahead of the log."""
    for stream in life.streams:
        if stream.end:
            assert stream.end.reason in TOLD.get(stream.end.code, ()), f"a watch ended with {stream.end}"
        for message in stream.recording.messages:
            if is_bookmark(message):
                assert message.revision <= history.head


def right(sights: Sequence[Sight], selectors: Sequence[ConfigurationSelector], history: History) -> None:
    """Check that a client that stores its last token alone has, at each token, the state of the database."""
    assert sights, "the program has seen nothing"
    for sight in sights:
        assert sight.token.endswith(f":{sight.revision}")
        state = history.state_at(sight.revision).values()
        wanted = {change.id: change.version for change in state if selected(change, selectors)}
        assert sight.versions == wanted, f"the view at {sight.token} is not the state of the database"


def bounded(*, before: int, after: int, limit: int) -> None:
    """Check that a client that does not read costs the process a bounded amount of memory: bytes before and after."""
    assert after - before <= limit, f"the process grew by {(after - before) >> 20} MiB"


def answered(writes: Sequence[Write], marks: Mapping[str, Sequence[int]]) -> None:
    """Check that an accepted write is in the log once, a refused one never, and any other at most once."""
    allowed = {Outcome.DONE: {1}, Outcome.REFUSED: {0}, Outcome.UNKNOWN: {0, 1}}
    for write in writes:
        found = marks.get(write.marker, ())
        assert len(found) in allowed[write.outcome], f"{write} stands in the log at {found}"
    assert not [marker for marker in marks if marker.startswith("taken back")]


JUDGES: tuple[Callable[[Life, History], None], ...] = (
    ordered,
    unique,
    reliable,
    atomic,
    resumable,
    bookmarkable,
    live_or_told,
)


def judge(life: Life, history: History) -> None:
    """Check all promises to one client."""
    for promise in JUDGES:
        promise(life, history)


def latest(reads: Sequence[LatestRead], history: History) -> None:
    """Check that a latest read shows its key at one revision between the heads before and after the call."""
    # Revisions order all commits, so that the reads of all keys agree.
    states = _States(history)
    for read in reads:
        if read.revision is None:
            between = range(read.floor, read.ceiling + 1)
            assert any(states.holder(read, revision) is None for revision in between), f"{read} was there all the time"
        else:
            assert read.floor <= read.revision <= read.ceiling, f"{read} shows a revision of another time"
            assert states.holder(read, read.revision) == read.shown, f"{read} is not what the log has"


class _States:
    """The configurations by key at each revision that was asked for."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._known: dict[int, dict[tuple[str, str], tuple[str, int]]] = {}

    def holder(self, read: LatestRead, revision: int) -> tuple[str, int] | None:
        """Return the id and version of what had the key of the read at the revision."""
        if revision not in self._known:
            self._known[revision] = {
                (change.application, change.name): (change.id, change.version)
                for change in self._history.state_at(revision).values()
            }
        return self._known[revision].get((read.application, read.name))
