"""The rules of a watch, without I/O: messages of streams go in, whole views come out.

A transport turns its messages into `Message` and the end of a stream into `End`. The engine keeps events until what
belongs together is whole, and decides what to do when a stream has ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from configsvc.client.view import Change, Configuration, View

# A stream that is silent for three bookmarks is lost, but not before this: intervals stretch where a caller has many
# watches.
LOST_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 1.0
MOST_PAUSE_SECONDS = 10.0
# However long the service, or a proxy, asks for.
MOST_RETRY_SECONDS = 60.0

# Of a message on its way, by whichever transport.
MOST_BYTES = 64 * 1024 * 1024
# Of the service's ErrorInfo.
DOMAIN = "configsvc"

# The service no longer has the position of the token: only a new snapshot helps.
_ANEW = "OUT_OF_RANGE"
# Perhaps of the token, which can be damaged on disk.
_INVALID = "INVALID_ARGUMENT"
# The same call can never succeed, provided that the service says so: without ErrorInfo, a code comes from a library or
# a proxy, and means nothing.
_FINAL = frozenset({_INVALID, "PERMISSION_DENIED", "UNAUTHENTICATED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An effect on the view: put the configuration in, under its id, or take it out."""

    removes: bool
    configuration: Configuration
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a stream. One with a token completes the events since the last token."""

    token: str = ""
    revision: int = 0
    epoch: str = ""
    events: tuple[Event, ...] = ()
    synced: bool = False
    # The interval of bookmarks, in the first message of a stream.
    interval_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a stream. `reason` is that of the service's ErrorInfo: empty if the end is not from the service."""

    code: str = ""
    reason: str = ""
    text: str = ""
    # RetryInfo.
    retry_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The outcome of one message."""

    # The view to swap in; None: the one from before stays.
    view: View | None = None
    changes: tuple[Change, ...] = ()
    # Everything that was committed when the message was sent is in the view.
    is_live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The time before the next attempt: to be drawn at random between these, so that clients do not return at once."""

    least_seconds: float
    most_seconds: float


_NOTHING = Step()
_EMPTY = View()


class Engine:
    """The state of one client over all of its streams.

    `begin` opens a stream, `receive` takes its messages, `end` its end.
    """

    def __init__(
        self, view: View | None = None, *, accepts_empty: bool = False, renews_credentials: bool = False
    ) -> None:
        # The view that readers have: from an earlier run, or none yet.
        self.view = view
        # An empty snapshot came where there was data, and was refused: the view from before stays until there is data.
        self.has_refused_empty = False
        self.silence_seconds = LOST_SECONDS
        self._accepts_empty = accepts_empty
        self._renews_credentials = renews_credentials
        self._token = view.token if view else ""
        # What the service has at the token. It differs from the view only while an empty snapshot is refused.
        self._known = view or _EMPTY
        self._staged: list[Event] = []
        self._is_synced = False
        # The present stream was opened with a token.
        self._resumes = False
        self._failures = 0

    def begin(self) -> str:
        """Begin a stream. Return the token to resume from; empty: begin with a snapshot."""
        self._staged.clear()
        self._is_synced = False
        self._resumes = bool(self._token)
        return self._token

    def receive(self, message: Message) -> Step:
        """Take a message."""
        if message.interval_seconds:
            self.silence_seconds = max(LOST_SECONDS, 3 * message.interval_seconds)
        self._staged.extend(message.events)
        self._is_synced = self._is_synced or message.synced
        if not message.token:
            return _NOTHING
        events, self._staged = self._staged, []
        is_snapshot = not self._token
        self._known = _apply(_EMPTY if is_snapshot else self._known, events, message)
        self._token = message.token
        self._failures = 0
        follows = not is_snapshot and not self.has_refused_empty
        self.has_refused_empty = self._refuses(is_snapshot=is_snapshot)
        if self.has_refused_empty:
            return _NOTHING
        before, self.view = self.view or _EMPTY, self._known
        changes = _changes(before, self._known, events if follows else None)
        return Step(view=self._known, changes=changes, is_live=self._is_synced)

    def _refuses(self, *, is_snapshot: bool) -> bool:
        begins = is_snapshot and not self._accepts_empty and bool(self.view and self.view.by_id)
        return not self._known.by_id and (begins or self.has_refused_empty)

    def end(self, end: End) -> Pause | None:
        """Return the pause before the next stream; None: stop, for the same call can never succeed."""
        is_final = self._is_final(end)
        if end.code == _ANEW or (is_final and end.code == _INVALID and self._resumes):
            if self._token:
                self._token, self._failures = "", 0
        elif is_final:
            return None
        most = min(FIRST_PAUSE_SECONDS * 2**self._failures, MOST_PAUSE_SECONDS)
        # Bounded, as a power of two is not.
        self._failures = min(self._failures + 1, 10)
        # In this order, not a number is none, too.
        least = min(max(0.0, end.retry_seconds), MOST_RETRY_SECONDS)
        return Pause(least_seconds=least, most_seconds=least + most)

    def _is_final(self, end: End) -> bool:
        if end.code == "UNAUTHENTICATED" and self._renews_credentials:
            return False
        return end.code in _FINAL and bool(end.reason)


def _apply(base: View, events: Iterable[Event], message: Message) -> View:
    view = replace(base, token=message.token, revision=message.revision, epoch=message.epoch)
    if not events:
        return view
    # Copies, which take a tenth of the time of building them anew.
    by_id, by_name = dict(base.by_id), dict(base.by_name)
    for event in events:
        found = event.configuration
        known = by_id.pop(found.id, None) if event.removes else by_id.get(found.id)
        # Its name can be that of another one by now.
        if known and by_name.get(known.name) is known and (event.removes or known.name != found.name):
            del by_name[known.name]
        if not event.removes:
            by_id[found.id] = by_name[found.name] = found
    return replace(view, by_id=by_id, by_name=by_name)


def _changes(old: View, new: View, events: Iterable[Event] | None) -> tuple[Change, ...]:
    """Return the changes between two views: of the names that the events touch, or, without events, of all."""
    origins = _origins(old, events) if events is not None else dict.fromkeys((*old.by_name, *new.by_name))
    found: list[Change] = []
    for name, event in origins.items():
        before, after = old.by_name.get(name), new.by_name.get(name)
        if before != after:
            actor, reason = (event.actor, event.reason) if event else ("", "")
            change = Change(name=name, before=before, after=after, revision=new.revision, actor=actor, reason=reason)
            found.append(change)
    return tuple(found)


def _origins(old: View, events: Iterable[Event]) -> dict[str, Event | None]:
    """Return the names that events touch, before and after, each with its last event."""
    touched: dict[str, Event | None] = {}
    for event in events:
        known = old.by_id.get(event.configuration.id)
        if known:
            touched[known.name] = event
        touched[event.configuration.name] = event
    return touched
