"""Opens watches: sends the snapshot, or finds the log position to resume from, then follows the log."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from configsvc.aio import SharedRead
from configsvc.domain.commits import CommitPart, Position, position_after
from configsvc.domain.errors import DatabaseBusyError, DatabaseUnavailableError
from configsvc.domain.models import ConfigurationQuery, IdRef, NameRef
from configsvc.domain.selection import Selector
from configsvc.domain.watching import (
    After,
    ContentForm,
    ExistingMessage,
    OpenedMessage,
    RestOfCommit,
    RestOfSnapshot,
    Snapshot,
    Start,
    Watcher,
    WatchRequest,
)
from configsvc.feed.feed import Feed
from configsvc.limits.pace import Pace
from configsvc.limits.slots import caller_slots
from configsvc.storage import configurations, log
from configsvc.storage.database import Database, away
from configsvc.telemetry.families import Families, gauge
from configsvc.watch.audiences import Audiences
from configsvc.watch.follower import Follower
from configsvc.watch.groups import Groups
from configsvc.watch.registry import WatchRegistry
from configsvc.watch.sending import Encode, IdleTimer, Offer, Passing, Sending, Write

SNAPSHOT_LIMIT = 500
SNAPSHOT_LIMIT_BYTES = 1024 * 1024
READ_AGAIN_SECONDS = 0.2
READ_TRIES = 10
# Of all callers together.
BOOKMARKS_PER_SECOND = 2000

Answer = TypeVar("Answer")
# Raises an error if the caller may see nothing more.
Check = Callable[[], None]


class Watches:
    """Opens watches on one feed."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self.audiences = Audiences(feed.interests)
        self.registry = WatchRegistry(feed)
        self._groups = Groups(feed, self.audiences)
        # Delivers to groups until cancelled.
        self.run = self._groups.run
        self._database = database
        self._feed = feed
        self._bounds = SharedRead(self._read_bounds)
        self._bookmarks = Pace(BOOKMARKS_PER_SECOND)

    def collect(self) -> Families:
        """Yield the metrics of all watches. Prometheus asks for them in a thread of its own."""
        yield from self.registry.collect()
        yield gauge(
            "watch_remembered_bytes",
            "Approximate memory of the messages that watches share.",
            self.audiences.remembered_bytes,
        )

    async def watch(
        self,
        request: WatchRequest,
        watcher: Watcher,
        check: Check,
        encode: Encode,
        write: Write,
        offer: Offer | None,
        passing: Passing | None,
    ) -> None:
        """Write the messages of one watch; never return. `check` is called before each page that is read.

        Raises EpochChangedError, RevisionUnknownError, RevisionCompactedError, DatabaseUnavailableError,
        DatabaseBusyError, RateLimitedError or ShuttingDownError, and what check, write and passing raise.
        """
        if not self._feed.live:
            raise away()
        history = self._feed.history
        if not isinstance(request.start, Snapshot):
            self._feed.check_epoch(request.start.epoch)
        # Read from the database: the feed may lag, and commits before the watch must not appear as new.
        bounds = await self._bounds.read()
        self._feed.check_history(history)
        after = _first_revision(request.start, bounds)
        with self.registry.opened(request, watcher, after) as entry:
            sending = Sending(entry.progress, history, encode, write, passing)
            opened = OpenedMessage(
                revision=after,
                watch_id=entry.id,
                progress_interval_seconds=request.progress_interval_seconds,
                head=bounds.head,
                compacted_revision=bounds.compacted_revision,
            )
            await sending.write(await sending.encode(opened))
            if isinstance(request.start, Snapshot | RestOfSnapshot):
                await self._send_snapshot(request, after, check, sending)
            await self._follow(request, after, bounds.head, check, sending, offer)

    async def _read_bounds(self) -> log.Bounds:
        async with self._database.catch_up() as connection:
            return await log.bounds(connection)

    async def _send_snapshot(self, request: WatchRequest, revision: int, check: Check, sending: Sending) -> None:
        selectors = request.selection.selectors or (Selector(application=None, name_prefix="", names=frozenset()),)
        start = request.start
        first, key = (start.selector, start.after) if isinstance(start, RestOfSnapshot) else (0, ("", ""))
        for index, selector in enumerate(selectors[first:], start=first):
            after: tuple[str, ...] | None = key if index == first else ("", "")
            while after is not None:
                if sending.passing:
                    epoch = sending.history.epoch
                    sending.passing(RestOfSnapshot(epoch=epoch, revision=revision, selector=index, after=after))
                query = _snapshot_query(request, selector, revision, after)
                read = partial(self._encoded_page, request, index, query, sending)
                async with sending.slot():
                    encoded, after = await self._patiently(read, check)
                    await sending.write(encoded)

    async def _encoded_page(
        self, request: WatchRequest, index: int, query: ConfigurationQuery, sending: Sending
    ) -> tuple[tuple[bytes, ...], tuple[str, ...] | None]:
        """Return a page of the snapshot, encoded, and the key after which the next one begins.

        The connection is held until the page is encoded, so that few pages are in memory as they were read.
        """
        async with self._database.read_snapshot() as connection:
            page = await configurations.page(connection, query)
            self._feed.check_history(sending.history)
            fresh = tuple(
                configuration
                for configuration in page.resources
                if not index or request.selection.first_selector_of(configuration) == index
            )
            if not fresh:
                return (), page.last_key
            sending.progress.events += len(fresh)
            message = ExistingMessage(
                revision=page.revision, configurations=fresh, form=request.form, content_bytes=page.content_bytes
            )
            return await sending.encode(message), page.last_key

    async def _follow(
        self, request: WatchRequest, after: int, head: int, check: Check, sending: Sending, offer: Offer | None
    ) -> None:
        with (
            self.audiences.joined(request.selection, request.form) as audience,
            self._groups.joined(audience, sending, offer) as member,
            IdleTimer(self._feed, request.progress_interval_seconds, self._paces(), member) as idle,
        ):
            read_on = partial(self._parts_from, check, request.selection.applications)
            follower = Follower(self._feed, self.audiences, audience, idle, read_on, sending, member)
            inside = request.start if isinstance(request.start, RestOfCommit) else None
            position = inside.position if inside else position_after(after)
            await follower.follow(position, head, delivering=inside is not None)

    def _paces(self) -> Sequence[Pace]:
        # First among the watches of the caller, so that few of them are ever in the way of others.
        slots = caller_slots.get()
        return (slots.bookmarks, self._bookmarks) if slots else (self._bookmarks,)

    async def _parts_from(
        self, check: Check, applications: frozenset[str] | None, position: Position
    ) -> tuple[Position, Sequence[CommitPart]]:
        return await self._patiently(partial(self._read_parts, applications, position), check)

    async def _read_parts(
        self, applications: frozenset[str] | None, position: Position
    ) -> tuple[Position, Sequence[CommitPart]]:
        async with self._database.catch_up() as connection:
            if applications is not None:
                # Not beyond the feed, which knows of roles that the caller has lost.
                ahead = await log.next_about(connection, position, self._feed.revision, applications)
                if ahead != position:
                    return ahead, ()
            return position, (await log.page_from(connection, position, applications)).parts

    async def _patiently(self, read: Callable[[], Awaitable[Answer]], check: Check) -> Answer:
        """Return what `read` returns, waiting while the database is away or a table locked: a watch survives that.

        Raises DatabaseUnavailableError or DatabaseBusyError if this cannot read although the feed can, and what `check`
        raises.
        """
        for _ in range(READ_TRIES):
            await self._feed.wait_live()
            check()
            try:
                return await read()
            except DatabaseUnavailableError:
                await asyncio.sleep(READ_AGAIN_SECONDS)
            except DatabaseBusyError as error:
                if not error.table_locked:
                    raise
                await asyncio.sleep(READ_AGAIN_SECONDS)
        check()
        return await read()


def _first_revision(start: Start, bounds: log.Bounds) -> int:
    """Return the revision of the snapshot, or the one to start after.

    Raises RevisionUnknownError or RevisionCompactedError.
    """
    match start:
        case Snapshot(min_revision=revision):
            log.check_head(revision, bounds.head)
            return bounds.head
        case After(revision=revision) | RestOfSnapshot(revision=revision):
            log.check_head(revision, bounds.head)
            log.check_kept(revision, bounds.compacted_revision)
            return revision
        case RestOfCommit(position=position):
            log.check_head(position.revision, bounds.head)
            log.check_kept(position.revision - 1, bounds.compacted_revision)
            return position.revision - 1


def _snapshot_query(
    request: WatchRequest, selector: Selector, revision: int, after: tuple[str, ...]
) -> ConfigurationQuery:
    application = selector.application
    return ConfigurationQuery(
        scope=request.selection.scope,
        revision=revision,
        application_id=application.id if isinstance(application, IdRef) else None,
        application=application.name if isinstance(application, NameRef) else None,
        name_prefix=selector.name_prefix,
        names=tuple(sorted(selector.names)) or None,
        after=(after[0], after[1]),
        limit=SNAPSHOT_LIMIT,
        with_config=request.form is not ContentForm.ABSENT,
        limit_bytes=SNAPSHOT_LIMIT_BYTES,
    )
