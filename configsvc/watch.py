"""The watch: a snapshot or a place in the log, then every change after it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from configsvc.domain.errors import DatabaseUnavailableError
from configsvc.domain.models import Commit, Configuration, ConfigurationQuery, IdRef, NameRef, Page
from configsvc.domain.selection import EventType, Selection, Selector, picked
from configsvc.feed import READ_LIMIT, READ_LIMIT_BYTES, Feed, History
from configsvc.storage import configurations, log
from configsvc.storage.database import Database

SNAPSHOT_LIMIT = 500
SNAPSHOT_LIMIT_BYTES = 1024 * 1024
READ_AGAIN_SECONDS = 0.2

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
    """What one commit is to this watch: positions in its changes, and what each of them means."""

    commit: Commit
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

        Raises EpochChangedError, RevisionUnknownError, DatabaseUnavailableError or ShuttingDownError.
        """
        if not self._feed.live:
            raise DatabaseUnavailableError
        history = self._feed.history
        if request.after_revision is not None and request.epoch:
            self._feed.check_epoch(request.epoch)
        # Not the feed's revision, which may be a moment behind: what was committed before the watch is not new to it.
        head = await self._head()
        self._feed.check_history(history)
        if request.after_revision is None:
            async for message in self._snapshot(request, history, head):
                yield history, message
            cursor = head
        else:
            log.check_head(request.after_revision, head)
            cursor = request.after_revision
        async for message in self._follow(request, history, cursor, synced_at=head):
            yield history, message

    async def _head(self) -> int:
        async with self._database.catch_up() as connection:
            return await log.head(connection)

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
        self, request: WatchRequest, history: History, cursor: int, *, synced_at: int
    ) -> AsyncGenerator[CommitMessage | ProgressMessage]:
        interval = request.progress_interval_seconds
        synced = False
        quiet_until = time.monotonic() + interval
        while True:
            if not synced and cursor >= synced_at:
                synced = True
                yield ProgressMessage(revision=cursor, synced=True)
                quiet_until = time.monotonic() + interval
            elif time.monotonic() >= quiet_until:
                # A bookmark says that the watch is alive, so there is none while the database is away.
                if self._feed.live:
                    yield ProgressMessage(revision=cursor, synced=False)
                quiet_until = time.monotonic() + interval
            await self._feed.wait_beyond(cursor, quiet_until - time.monotonic())
            commits = await self._commits_after(cursor)
            self._feed.check_history(history)
            for commit in commits:
                events = picked(request.selection, commit.changes)
                if events:
                    yield CommitMessage(commit=commit, events=events)
                    quiet_until = time.monotonic() + interval
                cursor = commit.revision

    async def _commits_after(self, cursor: int) -> Sequence[Commit]:
        recent = self._feed.commits_after(cursor)
        return await self._patiently(partial(self._read_commits, cursor)) if recent is None else recent

    async def _read_commits(self, cursor: int) -> Sequence[Commit]:
        async with self._database.catch_up() as connection:
            return await log.commits_after(connection, cursor, limit_bytes=READ_LIMIT_BYTES, limit=READ_LIMIT)

    async def _patiently(self, read: Callable[[], Awaitable[Answer]]) -> Answer:
        """Reads again when the database is back, for a watch outlives its absence."""
        while True:
            try:
                return await read()
            except DatabaseUnavailableError:
                await asyncio.sleep(READ_AGAIN_SECONDS)
                await self._feed.wait_live()
