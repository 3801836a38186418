"""The watch: a snapshot or a place in the log, then every change after it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from configsvc.domain.commits import CommitPart, Position, position_after
from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.domain.models import Configuration, ConfigurationQuery, IdRef, NameRef, Page
from configsvc.domain.selection import EventType, Selection, Selector, picked
from configsvc.feed import Feed, History
from configsvc.storage import configurations, log
from configsvc.storage.database import Database

SNAPSHOT_LIMIT = 500
SNAPSHOT_LIMIT_BYTES = 1024 * 1024
READ_AGAIN_SECONDS = 0.2
READ_TRIES = 10

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """after_revision None: begin with a snapshot. An empty epoch is not checked."""

    selection: Selection
    after_revision: int | None
    epoch: str
    progress_interval_seconds: float
    with_config: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingMessage:
    """A part of the snapshot; there is more to come until synced."""

    revision: int
    configurations: tuple[Configuration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitMessage:
    """What a part of a commit is to this watch: places in its changes, and what each of them means."""

    part: CommitPart
    events: tuple[tuple[int, EventType], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressMessage:
    """Everything up to the revision was delivered; synced is set on the first of a watch."""

    revision: int
    synced: bool


WatchMessage = ExistingMessage | CommitMessage | ProgressMessage


class Watches:
    """Opens watches on one feed."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    async def watch(self, request: WatchRequest) -> AsyncGenerator[tuple[History, WatchMessage]]:
        """The messages of one watch, each with the history that its revision belongs to; it never ends by itself.

        Raises EpochChangedError, RevisionUnknownError, RevisionCompactedError, DatabaseUnavailableError or
        ShuttingDownError.
        """
        if not self._feed.live:
            raise DatabaseUnavailableError
        history = self._feed.history
        if request.after_revision is not None and request.epoch:
            self._feed.check_epoch(request.epoch)
        # Not the feed's revision, which may be a moment behind: what was committed before the watch is not new to it.
        bounds = await self._bounds()
        head = bounds.head
        self._feed.check_history(history)
        if request.after_revision is None:
            async for message in self._snapshot(request, history, head):
                yield history, message
            cursor = head
        else:
            log.check_head(request.after_revision, head)
            log.check_kept(request.after_revision, bounds.compacted_revision)
            cursor = request.after_revision
        async for message in self._follow(request, history, cursor, synced_at=head):
            yield history, message

    async def _bounds(self) -> log.Bounds:
        async with self._database.catch_up() as connection:
            return await log.bounds(connection)

    async def _snapshot(
        self, request: WatchRequest, history: History, revision: int
    ) -> AsyncGenerator[ExistingMessage]:
        selectors = request.selection.selectors or (Selector(application=None, name_prefix="", keys=frozenset()),)
        for position, selector in enumerate(selectors):
            after: tuple[str, ...] | None = ("", "")
            while after is not None:
                page = await self._patiently(partial(self._snapshot_page, request, selector, revision, after))
                self._feed.check_history(history)
                fresh = tuple(
                    configuration
                    for configuration in page.resources
                    if not position or request.selection.first_selector_of(configuration) == position
                )
                if fresh:
                    yield ExistingMessage(revision=revision, configurations=fresh)
                after = page.last_key

    async def _snapshot_page(
        self, request: WatchRequest, selector: Selector, revision: int, after: tuple[str, ...]
    ) -> Page[Configuration]:
        application = selector.application
        query = ConfigurationQuery(
            revision=revision,
            application_id=application.id if isinstance(application, IdRef) else None,
            application=application.name if isinstance(application, NameRef) else None,
            name_prefix=selector.name_prefix,
            names=tuple(sorted(selector.keys)) or None,
            after=(after[0], after[1]),
            limit=SNAPSHOT_LIMIT,
            with_config=request.with_config,
            limit_bytes=SNAPSHOT_LIMIT_BYTES,
        )
        async with self._database.catch_up() as connection:
            return await configurations.page(connection, query)

    async def _follow(
        self, request: WatchRequest, history: History, revision: int, *, synced_at: int
    ) -> AsyncGenerator[CommitMessage | ProgressMessage]:
        position = position_after(revision)
        synced = delivering = False
        quiet_until = time.monotonic() + request.progress_interval_seconds
        while True:
            self._feed.check_history(history)
            if not synced and not position.ordinal and position.revision > synced_at:
                synced = True
                yield ProgressMessage(revision=position.revision - 1, synced=True)
                quiet_until = time.monotonic() + request.progress_interval_seconds
            elif time.monotonic() >= quiet_until:
                # A bookmark says that the watch is alive, so there is none while the database is away.
                if self._feed.live and not position.ordinal:
                    yield ProgressMessage(revision=position.revision - 1, synced=False)
                quiet_until = time.monotonic() + request.progress_interval_seconds
            parts = await self._next_parts(history, position, quiet_until - time.monotonic())
            self._feed.check_history(history)
            for part in parts:
                events = picked(request.selection, part.changes)
                # Who was told that a commit goes on is told of its end, even if nothing more in it is for this watch.
                if part.first != position:
                    raise RuntimeError(f"the log has a gap: {part.first} follows {position}")
                if events or (delivering and not part.more):
                    yield CommitMessage(part=part, events=events)
                    quiet_until = time.monotonic() + request.progress_interval_seconds
                else:
                    # Nothing else here waits while the ring is scanned for a watch of little.
                    await asyncio.sleep(0)
                delivering = part.more and (delivering or bool(events))
                position = part.next

    async def _next_parts(self, history: History, position: Position, limit_seconds: float) -> Sequence[CommitPart]:
        """What comes next, from the ring one part at a time, so that a client that does not read pins no more of it."""
        if not await self._feed.wait_beyond(position, limit_seconds):
            return ()
        # Not read from the table of another one, which may not even have it.
        self._feed.check_history(history)
        recent = self._feed.part_at(position)
        return (recent,) if recent else await self._patiently(partial(self._read_parts, position))

    async def _read_parts(self, position: Position) -> Sequence[CommitPart]:
        async with self._database.catch_up() as connection:
            return (await log.page_from(connection, position)).parts

    async def _patiently(self, read: Callable[[], Awaitable[Answer]]) -> Answer:
        """Reads again when the database is back, for a watch outlives its absence.

        Raises DatabaseUnavailableError if the feed can read and this cannot.
        """
        for _ in range(READ_TRIES):
            try:
                return await read()
            except DatabaseUnavailableError:
                await asyncio.sleep(READ_AGAIN_SECONDS)
                await self._feed.wait_live()
        return await read()
