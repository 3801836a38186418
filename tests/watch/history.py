"""The log, read without the service: the reference for every watch."""

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE, EFFECT_SET, Effect, WatchConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.content import JsonObject, encode_json
from tests.postgres import plain_connection

if TYPE_CHECKING:
    from asyncpg import Record

_CHANGES = """
SELECT revision, ordinal, operation, resource_id, application_id, application, name, comments, content, version,
    previous_version, actor, reason, request_id, origin ->> 'change_request' AS change_request, commit_time
FROM changes
WHERE kind = 'CONFIGURATION'
ORDER BY revision, ordinal
"""


# The least size of an event beside its config, in bytes.
EVENT_BYTES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of the log: a configuration as a commit left it."""

    revision: int
    operation: str
    id: str
    application_id: str
    application: str
    name: str
    comments: str
    config: JsonObject | None
    version: int
    previous_version: int
    actor: str
    reason: str
    request_id: str
    change_request: str
    commit_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An event that the log requires. A removed configuration has the names that the watcher knew."""

    effect: Effect.ValueType
    previous_key: tuple[str, str]
    application_id: str
    application: str
    name: str
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All changes of configurations, in order, up to the head."""

    changes: tuple[Change, ...]
    head: int
    # Cached by selectors: every bookmark of every watch asks a long history for the same events.
    _events: dict[bytes, list[Expected]] = field(default_factory=dict)

    def state_at(self, revision: int) -> dict[str, Change]:
        """Return the configurations that exist at the revision, by id."""
        state: dict[str, Change] = {}
        for change in self.changes:
            if change.revision > revision:
                break
            if change.operation == "DELETED":
                del state[change.id]
            else:
                state[change.id] = change
        return state

    def commit_bytes(self, revision: int) -> int:
        """Return the approximate size of a commit's events as a message, in bytes."""
        return sum(
            EVENT_BYTES + len(encode_json(change.config or {}))
            for change in self.changes
            if change.revision == revision
        )

    def expected(self, selectors: Sequence[ConfigurationSelector], after: int, up_to: int) -> list[Expected]:
        """Return the events of a watch between two revisions. The earlier state is that of the change before."""
        key = WatchConfigurationsRequest(selectors=selectors).SerializeToString()
        if key not in self._events:
            self._events[key] = [event for event in _events(self.changes, selectors) if event]
        events = self._events[key]
        return events[bisect_right(events, after, key=_revision) : bisect_right(events, up_to, key=_revision)]


def _revision(event: Expected) -> int:
    return event.change.revision


def selected(change: Change, selectors: Sequence[ConfigurationSelector]) -> bool:
    """Return whether a watch with these selectors follows the configuration as the change left it."""
    return not selectors or any(_matches(change, selector) for selector in selectors)


def _matches(change: Change, selector: ConfigurationSelector) -> bool:
    owners = {"id": change.application_id, "name": change.application}
    which = selector.application.WhichOneof("ref")
    return (
        (which is None or getattr(selector.application, which) == owners[which])
        and change.name[: len(selector.name_prefix)] == selector.name_prefix
        and (not selector.names or change.name in list(selector.names))
    )


def _events(changes: Sequence[Change], selectors: Sequence[ConfigurationSelector]) -> Iterator[Expected | None]:
    last: dict[str, Change] = {}
    for change in changes:
        before = None if change.operation == "CREATED" else last[change.id]
        last[change.id] = change
        yield _event(before, change, selectors)


def _event(before: Change | None, change: Change, selectors: Sequence[ConfigurationSelector]) -> Expected | None:
    was = before is not None and selected(before, selectors)
    is_now = change.operation != "DELETED" and selected(change, selectors)
    if is_now:
        key = (change.application, change.name)
        previous_key = (before.application, before.name) if before else key
        return _expected(
            EFFECT_SET, change, known_by=change, previous_key=("", "") if previous_key == key else previous_key
        )
    if was:
        assert before is not None
        return _expected(EFFECT_REMOVE, change, known_by=before, previous_key=("", ""))
    return None


def _expected(effect: Effect.ValueType, change: Change, *, known_by: Change, previous_key: tuple[str, str]) -> Expected:
    return Expected(
        effect=effect,
        previous_key=previous_key,
        application_id=known_by.application_id,
        application=known_by.application,
        name=known_by.name,
        change=change,
    )


def joined(before: History, now: History) -> History:
    """Join the history read before a compaction and the history read after it."""
    kept = {(change.id, change.version) for change in before.changes}
    new = (change for change in now.changes if (change.id, change.version) not in kept)
    return History(changes=(*before.changes, *new), head=now.head)


def timeless(history: History) -> History:
    """Return the history without the times of its commits."""
    return History(changes=tuple(replace(change, commit_time=None) for change in history.changes), head=history.head)


async def read_history(url: str) -> History:
    """Return the history in a database's log, without the compacted part."""
    async with plain_connection(url) as connection, connection.transaction(isolation="repeatable_read"):
        head = await connection.fetchval("SELECT revision FROM revision_counter")
        rows = await connection.fetch(_CHANGES)
    return History(changes=tuple(_change(row) for row in rows), head=head)


def _change(row: "Record") -> Change:
    return Change(
        revision=row["revision"],
        operation=row["operation"],
        id=row["resource_id"],
        application_id=row["application_id"],
        application=row["application"],
        name=row["name"],
        comments=row["comments"],
        config=None if row["content"] is None else json.loads(row["content"]),
        version=row["version"],
        previous_version=row["previous_version"],
        actor=row["actor"],
        reason=row["reason"],
        request_id=row["request_id"],
        change_request=row["change_request"] or "",
        commit_time=row["commit_time"],
    )
