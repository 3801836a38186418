"""What readers of a client share: the present view, values of bound models, freshness and status."""

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from configsvc.client.errors import ConfigError, Fault, NotReadyError, RefusedError, StaleError, StoppedError
from configsvc.client.mailbox import Mailbox
from configsvc.client.models import UnfitError, reader_of
from configsvc.client.settings import Instance, Settings
from configsvc.client.view import Change, Configuration, View

Model = TypeVar("Model")

_FORKED = (
    "this process was forked from one whose client was started: it keeps the configurations of that time, "
    "and sees no changes. Start the client after the fork, or set http_address"
)
_FOLLOWS_ON = "this process was forked: what waited for changes before has to begin anew"

log = logging.getLogger("configsvc.client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A version of a configuration that a bound model refuses. Version 0: there is none."""

    # The name of the model's class.
    model: str
    version: int
    revision: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a client, for health checks and metrics."""

    is_ready: bool
    # "service", "disk", or "test"; empty: not ready.
    source: str
    is_connected: bool
    is_forked: bool
    # An empty snapshot came where there was data, and was refused.
    has_refused_empty: bool
    revision: int
    epoch: str
    staleness: float
    # Why the last stream ended, until the next one has caught up; and why no other will be opened.
    last_error: str
    stopped: str
    # What bound models refuse at present, by the name of the configuration, each model for itself; and how many
    # versions they have refused so far.
    refusals: Mapping[str, tuple[Refusal, ...]]
    refused_count: int
    instance: Instance
    # What the program has reported.
    applied_revision: int
    refused_revision: int
    refused_faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What readers see. It is replaced as a whole."""

    view: View
    values: Mapping["Bound[Any]", Any]


class Bound(Generic[Model]):
    """A configuration as a model: `value` is the newest one that the model has accepted."""

    def __init__(self, store: "Store", name: str, model: type[Model]) -> None:
        self._store = store
        self._read: Callable[[str], Model] = reader_of(model)
        self.name = name
        self.model = model

    def parse(self, configuration: Configuration | None) -> Model:
        """Return the value of a configuration. Raises UnfitError."""
        if configuration is None:
            raise UnfitError(Fault("", "there is no configuration with this name"))
        try:
            return self._read(configuration.text)
        except UnfitError:
            raise
        except Exception as error:  # a validator of the program itself must not end the feed
            raise UnfitError(Fault("", f"{type(error).__name__}: {error}")) from error

    @property
    def value(self) -> Model:
        """The newest valid value. Raises RefusedError if there was none yet, and what reads raise."""
        values, refusal = self._store.read().values, self._store.refusals.get(self)
        if self not in values and refusal is None:
            # Another thread has just swapped in a value: a refusal goes after that.
            values = self._store.read().values
        if self not in values:
            raise RefusedError(self.name, refusal.faults if refusal else ())
        return values[self]


class Store:
    """The state that a feed, the disk copy or a test changes, and that readers see. Reads take no lock."""

    def __init__(self, settings: Settings) -> None:
        self.instance = settings.instance
        self.source = ""
        self.is_connected = False
        self.is_forked = False
        self.has_refused_empty = False
        self.last_error = ""
        self.stopped: ConfigError | None = None
        self.refusals: dict[Bound[Any], Refusal] = {}
        self.refused_count = 0
        self.applied_revision = 0
        self.refused_revision = 0
        self.refused_faults: tuple[Fault, ...] = ()
        keeps = settings.stale_after is None or settings.on_stale == "keep"
        self._stale_after = self._limit = math.inf if keeps else settings.stale_after or 0.0
        # Follows on in a forked child; None: it cannot.
        self.follow_on: Callable[[], None] | None = None
        # A child that has not been used yet, and will follow on when it is.
        self._is_asleep = False
        self._raises = settings.on_stale == "raise"
        self._has_warned = False
        self._fresh_at = -math.inf
        self._present: Present | None = None
        # With the configuration that each has read last.
        self._bound: dict[Bound[Any], Configuration | None] = {}
        self._is_over = False
        self._mailboxes: weakref.WeakSet[Mailbox] = weakref.WeakSet()
        # Reentrant: a model may read and bind others while it validates.
        self._lock = threading.RLock()

    def read(self) -> Present:
        """Return what readers see. Raises NotReadyError, and StaleError if the policy says so."""
        if self._present is None:
            self._wake()
            raise self.stopped or NotReadyError("no configurations have arrived yet: start the client first")
        if time.monotonic() - self._fresh_at > self._stale_after:
            self._meet_stale()
        return self._present

    def _meet_stale(self) -> None:
        if self._stale_after < 0:
            self._stale_after = self._limit
            self._wake()
            if self.is_forked:
                log.warning("%s", _FORKED)
            if self.staleness <= self._stale_after:
                return
        text = f"the configurations are {self.staleness:.0f} s old: {self.last_error or 'nothing has arrived since'}"
        if self._raises:
            raise StaleError(text)
        if not self._has_warned:
            self._has_warned = True
            log.warning("%s", text)

    @property
    def staleness(self) -> float:
        """The seconds since the view was known to be everything that was committed; infinite: never."""
        self._wake()
        return time.monotonic() - self._fresh_at

    @property
    def view(self) -> View | None:
        """The present view, however old."""
        return self._present.view if self._present else None

    def swap(self, view: View, changes: tuple[Change, ...], *, source: str) -> None:
        """Let readers see another view, with all bound values, and tell those who wait for changes."""
        with self._lock:
            accepted: list[Bound[Any]] = []
            values = {bound: value for bound in self._bound for value in self._value(bound, view, accepted)}
            self._present, self.source = Present(view=view, values=values), source
            for bound in accepted:
                self.refusals.pop(bound, None)
            for mailbox in list(self._mailboxes):
                mailbox.put(changes)

    def _value(self, bound: "Bound[Any]", view: View, accepted: "list[Bound[Any]]") -> Iterator[Any]:
        """Yield the value of a model in a view: the last good one if it refuses the content; none without one."""
        last = self._present.values if self._present else dict[Bound[Any], Any]()
        configuration = view.by_name.get(bound.name)
        if configuration == self._bound[bound] and (bound in last or bound in self.refusals):
            yield from [last[bound]] if bound in last else []
            return
        self._bound[bound] = configuration
        try:
            value = bound.parse(configuration)
        except UnfitError as error:
            self._refuse(bound, configuration, view, error.faults)
            yield from [last[bound]] if bound in last else []
        else:
            accepted.append(bound)
            yield value

    def _refuse(
        self, bound: "Bound[Any]", refused: Configuration | None, view: View, faults: tuple[Fault, ...]
    ) -> None:
        version, revision = (refused.version, refused.revision) if refused else (0, view.revision)
        model = bound.model.__name__
        self.refusals[bound] = Refusal(model=model, version=version, revision=revision, faults=faults)
        self.refused_count += 1
        # Messages of models can quote contents, which are not for logs.
        places = ", ".join(fault.pointer or "the content" for fault in faults[:10])
        text = "%s version %d does not fit its model %s; the last good value stays: %s"
        log.error(text, bound.name, version, model, places)

    def bind(self, name: str, model: type[Model]) -> "Bound[Model]":
        """Return a configuration as a model. Raises RefusedError if there is a view and the model refuses it."""
        with self._lock:
            found = next((one for one in self._bound if one.name == name and one.model is model), None)
            bound = found or Bound(self, name, model)
            self._bound.setdefault(bound, None)
            # Also one whose first reading was interrupted, such as by Ctrl-C.
            if self._present and bound not in self._present.values and bound not in self.refusals:
                self.swap(self._present.view, (), source=self.source)
            if self._present and bound not in self._present.values:
                faults = self.refusals[bound].faults
                if found is None:
                    del self._bound[bound], self.refusals[bound]
                raise RefusedError(name, faults)
        return bound

    def confirm(self, *, age: float = 0.0) -> None:
        """Note that the view was everything that was committed, so many seconds ago."""
        self._fresh_at, self._has_warned = time.monotonic() - age, False

    def attach(self, mailbox: Mailbox) -> None:
        """Put changes from now on into the mailbox, for as long as somebody holds it."""
        with self._lock:
            self._mailboxes.add(mailbox)
            if self._is_over:
                mailbox.end(self.stopped)
        self._wake()

    def end(self, error: ConfigError | None = None) -> None:
        """Note that no change will come any more, and end those who wait for changes; the first error counts."""
        with self._lock:
            self.stopped = self.stopped or error
            self._is_over, self.is_connected, self._is_asleep = True, False, False
            for mailbox in list(self._mailboxes):
                mailbox.end(self.stopped)

    def mark_forked(self) -> None:
        """Keep the view in a forked child, until it follows on; where it cannot, say so at the next read."""
        self._lock = threading.RLock()
        # The fork can have come in the middle of a swap: all are read again.
        self._bound = dict.fromkeys(self._bound)
        mailboxes, self._mailboxes = list(self._mailboxes), weakref.WeakSet()
        self._is_asleep = self.follow_on is not None and not self._is_over
        self.is_forked, self.is_connected = True, False
        self.last_error = _FOLLOWS_ON if self._is_asleep else _FORKED
        for mailbox in mailboxes:
            mailbox.forget_locks()
            mailbox.end(StoppedError(self.last_error))
        if not self._is_asleep:
            self.end(StoppedError(_FORKED))
        # Below any staleness, so that the next read comes to `_meet_stale`.
        self._stale_after = -1.0

    def _wake(self) -> None:
        """Follow on in a forked child that is used for the first time."""
        if not self._is_asleep:
            return
        with self._lock:
            if not self._is_asleep or self.follow_on is None:
                return
            self._is_asleep = self.is_forked = False
            try:
                self.follow_on()
            except RuntimeError as error:  # there can be no more threads
                self.is_forked, self.last_error = True, f"{_FORKED}: {error}"
                self.end(StoppedError(self.last_error))

    def _refusals_by_name(self) -> dict[str, tuple[Refusal, ...]]:
        found: dict[str, tuple[Refusal, ...]] = {}
        for bound, refusal in list(self.refusals.items()):
            found[bound.name] = (*found.get(bound.name, ()), refusal)
        return found

    def status(self) -> Status:
        """Return the state."""
        self._wake()
        view = self.view or View()
        return Status(
            is_ready=self._present is not None,
            source=self.source,
            is_connected=self.is_connected,
            is_forked=self.is_forked,
            has_refused_empty=self.has_refused_empty,
            revision=view.revision,
            epoch=view.epoch,
            staleness=self.staleness,
            last_error=self.last_error,
            stopped=str(self.stopped or ""),
            refusals=self._refusals_by_name(),
            refused_count=self.refused_count,
            instance=self.instance,
            applied_revision=self.applied_revision,
            refused_revision=self.refused_revision,
            refused_faults=self.refused_faults,
        )
