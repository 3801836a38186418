"""The part of a client that reads, the same for every face."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from configsvc.client.callbacks import Callbacks
from configsvc.client.errors import Fault
from configsvc.client.store import Bound, Status, Store
from configsvc.client.view import Change, Snapshot

Model = TypeVar("Model")
Default = TypeVar("Default")


class Configs:
    """Configurations in memory. Reading them takes no await and no network, from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._callbacks = Callbacks(store)

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """Return a content, read-only. Raises KeyError, NotReadyError or StaleError."""
        return self._store.read().view.by_name[name].content

    @overload
    def get(self, name: str) -> Mapping[str, Any] | None: ...
    @overload
    def get(self, name: str, default: Default) -> Mapping[str, Any] | Default: ...
    def get(self, name: str, default: Any = None) -> Any:
        """Return a content, or the default if there is none. Raises NotReadyError or StaleError."""
        found = self._store.read().view.by_name.get(name)
        return default if found is None else found.content

    def __contains__(self, name: object) -> bool:
        return name in self._store.read().view.by_name

    # A new view could come between two steps: iterate over a snapshot.
    __iter__ = None

    def snapshot(self) -> Snapshot:
        """Return all contents at one revision. Raises NotReadyError or StaleError."""
        return Snapshot(self._store.read().view)

    def bind(self, name: str, model: type[Model]) -> Bound[Model]:
        """Return a configuration as a pydantic model or dataclass, whose `value` is always the newest valid one.

        Raises RefusedError if there is no valid one yet although configurations have arrived.
        """
        return self._store.bind(name, model)

    def on_change(self, callback: Callable[[Change], object], name: str | None = None) -> None:
        """Call a function for each change, of one name or of all, in a thread that the feed does not wait for.

        Raises TypeError for an async function: use `changes`.
        """
        if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(type(callback).__call__):
            raise TypeError("on_change cannot await an async function: use `async for change in client.changes()`")
        self._callbacks.add(callback, name)

    def report_applied(self, revision: int) -> None:
        """Note in `status` that the program works with this revision."""
        self._store.applied_revision = revision

    def report_refused(self, revision: int, *faults: Fault) -> None:
        """Note in `status` that the program refuses this revision, and why."""
        self._store.refused_revision, self._store.refused_faults = revision, faults

    @property
    def staleness(self) -> float:
        """The seconds since the view was known to be up to date; infinite: never."""
        return self._store.staleness

    @property
    def status(self) -> Status:
        """The state of the client. Never raises."""
        return self._store.status()
