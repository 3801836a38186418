"""The watch: a snapshot or a place in the log, then every change after it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from configsvc.domain.commits import RECORD_BYTES, CommitPart, Position, position_after
from configsvc.domain.errors import DatabaseUnavailableError, RateLimitedError
from configsvc.domain.models import Configuration, ConfigurationQuery, IdRef, NameRef
from configsvc.domain.selection import EventType, Selection, Selector, picked
from configsvc.feed import Feed, History
from configsvc.storage import configurations, log
from configsvc.storage.database import Database, connection_share
from configsvc.waiters import Topics, Waiter

SNAPSHOT_LIMIT = 500
SNAPSHOT_LIMIT_BYTES = 1024 * 1024
# What is not larger is encoded at once: some 10 ms of the event loop.
LARGE_BYTES = 32 * 1024
# How long a watch waits for clients of other watches of its caller to read.
UNREAD_SECONDS = 30.0
READ_AGAIN_SECONDS = 0.2
READ_TRIES = 10
# What the watches that are up to date get; one that is behind picks for itself.
REMEMBERED_MESSAGES = 256
# They keep their parts in memory after the ring has forgotten them.
REMEMBERED_WEIGHT_BYTES = 16 * 1024 * 1024
# How many changes without anything for it a watch passes over before it lets others go on.
PASSED_AT_ONCE = 256

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommitMessage:
    """What a part of a commit is to a watch: places in its changes, and what each of them means. A shared one goes to
    all watches of an audience.
    """

    part: CommitPart
    events: tuple[tuple[int, EventType], ...]
    with_config: bool
    shared: bool

    @property
    def is_large(self) -> bool:
        """Whether it takes long to be encoded."""
        return self.part.weight > LARGE_BYTES and self._bytes > LARGE_BYTES

    @property
    def _bytes(self) -> int:
        contents = (self.part.changes[place].content_bytes for place, _ in self.events) if self.with_config else ()
        return RECORD_BYTES * len(self.events) + sum(contents)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressMessage:
    """Everything up to the revision was delivered; synced is set on the first of a watch."""

    revision: int
    synced: bool


WatchMessage = ExistingMessage | CommitMessage | ProgressMessage
EncodeMessage = Callable[[WatchMessage], Awaitable[Sequence[bytes]]]
Encode = Callable[[History, WatchMessage], Awaitable[Sequence[bytes]]]
Write = Callable[[bytes], Awaitable[None]]


class WatchState(StrEnum):
    """What a watch is at: it waits for the feed, reads a snapshot or the table, or waits for its client."""

    UP_TO_DATE = "up_to_date"
    BEHIND = "behind"
    BLOCKED = "blocked"


@dataclass(slots=True, eq=False)
class Progress:
    """How far a watch is, for the metrics. One that is up to date has nothing to do with what is after its revision."""

    revision: int
    state: WatchState = WatchState.BEHIND


class SharedRead(Generic[Answer]):
    """One read for all who ask for it before it begins: ten thousand watches that come back at once ask the same."""

    def __init__(self, read: Callable[[], Awaitable[Answer]]) -> None:
        self._read = read
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Answer] | None = None
        self._running: set[asyncio.Task[Answer]] = set()

    async def read(self) -> Answer:
        """What is read after now. Raises what the read raises."""
        if self._next is None:
            # On behalf of many.
            self._next = asyncio.create_task(self._read_next(), context=Context())
            self._running.add(self._next)
            self._next.add_done_callback(self._finished)
        return await asyncio.shield(self._next)

    def _finished(self, task: asyncio.Task[Answer]) -> None:
        self._running.discard(task)
        # Asked for, so that asyncio does not complain of an error whose callers have all gone.
        if not task.cancelled():
            task.exception()

    async def _read_next(self) -> Answer:
        async with self._turn:
            self._next = None
            return await self._read()


class Audience:
    """All watches with one selection and view: they are told the same."""

    __slots__ = ("__weakref__", "selection", "size", "topics", "with_config")

    def __init__(self, selection: Selection, *, with_config: bool) -> None:
        self.selection = selection
        self.with_config = with_config
        self.topics = selection.topics
        self.size = 0

    def message(self, part: CommitPart, *, shared: bool) -> CommitMessage:
        """What the part is to them."""
        events = picked(self.selection, part.changes)
        return CommitMessage(part=part, events=events, with_config=self.with_config, shared=shared)


class Watches:
    """Opens watches on one feed."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed
        self._audiences: WeakValueDictionary[tuple[Selection, bool], Audience] = WeakValueDictionary()
        self._bounds = SharedRead(self._read_bounds)
        self._messages: dict[tuple[CommitPart, Audience], CommitMessage] = {}
        self._messages_bytes = 0
        self._open: set[Progress] = set()

    @property
    def progress(self) -> tuple[Progress, ...]:
        """How far each open watch is."""
        return tuple(self._open)

    async def watch(self, request: WatchRequest, encode: Encode, write: Write) -> None:
        """Writes the messages of one watch, each with the history that its revision belongs to; never ends by itself.

        Raises EpochChangedError, RevisionUnknownError, RevisionCompactedError, DatabaseUnavailableError,
        DatabaseBusyError, RateLimitedError or ShuttingDownError, and what write raises.
        """
        if not self._feed.live:
            raise DatabaseUnavailableError
        history = self._feed.history
        if request.after_revision is not None and request.epoch:
            self._feed.check_epoch(request.epoch)
        # Not the feed's revision, which may be a moment behind: what was committed before the watch is not new to it.
        bounds = await self._bounds.read()
        head = bounds.head
        self._feed.check_history(history)
        after = head if request.after_revision is None else request.after_revision
        log.check_head(after, head)
        log.check_kept(after, bounds.compacted_revision)
        with self._progress(after) as progress:
            sending = Sending(progress, partial(encode, history), write)
            if request.after_revision is None:
                await self._send_snapshot(request, history, head, sending)
            with self._audience(request) as audience, Quiet(request.progress_interval_seconds) as quiet:
                await Follower(self, self._feed, history, audience, quiet, sending).follow(after, head)

    @contextmanager
    def _progress(self, revision: int) -> Generator[Progress]:
        progress = Progress(revision)
        self._open.add(progress)
        try:
            yield progress
        finally:
            self._open.discard(progress)

    @contextmanager
    def _audience(self, request: WatchRequest) -> Generator[Audience]:
        key = (request.selection, request.with_config)
        audience = self._audiences.get(key) or Audience(request.selection, with_config=request.with_config)
        self._audiences[key] = audience
        audience.size += 1
        try:
            yield audience
        finally:
            audience.size -= 1

    async def _read_bounds(self) -> log.Bounds:
        async with self._database.catch_up() as connection:
            return await log.bounds(connection)

    async def _send_snapshot(self, request: WatchRequest, history: History, revision: int, sending: "Sending") -> None:
        selectors = request.selection.selectors or (Selector(application=None, name_prefix="", keys=frozenset()),)
        for position, selector in enumerate(selectors):
            after: tuple[str, ...] | None = ("", "")
            while after is not None:
                read = partial(self._encoded_page, request, history, revision, position, selector, after, sending)
                async with sending.place():
                    encoded, after = await self.patiently(read)
                    await sending.write(encoded)

    async def _encoded_page(
        self,
        request: WatchRequest,
        history: History,
        revision: int,
        position: int,
        selector: Selector,
        after: tuple[str, ...],
        sending: "Sending",
    ) -> tuple[deque[bytes], tuple[str, ...] | None]:
        """A page of the snapshot, and where the next one begins. It is held as it was read, beside the connection that
        it was read on, only until it is encoded.
        """
        async with self._database.catch_up() as connection:
            page = await configurations.page(connection, _snapshot_query(request, selector, revision, after))
            self._feed.check_history(history)
            fresh = tuple(
                configuration
                for configuration in page.resources
                if not position or request.selection.first_selector_of(configuration) == position
            )
            message = ExistingMessage(revision=revision, configurations=fresh)
            return (await sending.encode(message) if fresh else deque()), page.last_key

    def message(self, part: CommitPart, audience: Audience) -> CommitMessage:
        """What a part of the ring is to the audience: picked once for all its watches, and so encoded once."""
        if audience.size == 1:
            return audience.message(part, shared=False)
        message = self._messages.get((part, audience))
        if message is None:
            message = audience.message(part, shared=True)
            self._remember(message, audience)
        return message

    def _remember(self, message: CommitMessage, audience: Audience) -> None:
        self._messages[message.part, audience] = message
        self._messages_bytes += message.part.weight
        while len(self._messages) > REMEMBERED_MESSAGES or self._messages_bytes > REMEMBERED_WEIGHT_BYTES:
            forgotten = self._messages.pop(next(iter(self._messages)))
            self._messages_bytes -= forgotten.part.weight

    async def parts_from(self, position: Position) -> Sequence[CommitPart]:
        """What comes next in the table."""
        return await self.patiently(partial(self._read_parts, position))

    async def _read_parts(self, position: Position) -> Sequence[CommitPart]:
        async with self._database.catch_up() as connection:
            return (await log.page_from(connection, position)).parts

    async def patiently(self, read: Callable[[], Awaitable[Answer]]) -> Answer:
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


def _snapshot_query(
    request: WatchRequest, selector: Selector, revision: int, after: tuple[str, ...]
) -> ConfigurationQuery:
    application = selector.application
    return ConfigurationQuery(
        revision=revision,
        application_id=application.id if isinstance(application, IdRef) else None,
        application=application.name if isinstance(application, NameRef) else None,
        name_prefix=selector.name_prefix,
        names=tuple(sorted(selector.keys)) or None,
        after=(after[0], after[1]),
        limit=SNAPSHOT_LIMIT,
        with_config=request.with_config,
        limit_bytes=SNAPSHOT_LIMIT_BYTES,
        application_ids=request.selection.application_ids,
    )


class Sending:
    """Sends the messages of one watch, and knows whether the client keeps it waiting."""

    __slots__ = ("_encode", "_write", "progress")

    def __init__(self, progress: Progress, encode: EncodeMessage, write: Write) -> None:
        self.progress = progress
        self._encode = encode
        self._write = write

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """The time in which something large is in memory for its client: of each caller's watches a few at a time.

        Raises RateLimitedError.
        """
        share = connection_share.get()
        if share is None:
            yield
            return
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await share.unread.acquire()
        except TimeoutError as error:
            raise RateLimitedError("too many other watches of the caller are not read", retry_seconds=1.0) from error
        try:
            yield
        finally:
            share.unread.release()

    async def encode(self, message: WatchMessage) -> deque[bytes]:
        """What is to be written, which is all that is to be kept until then."""
        return deque(await self._encode(message))

    async def write(self, encoded: deque[bytes]) -> None:
        """Writes it and forgets it, piece by piece. Returns when the client can take more."""
        state = self.progress.state
        self.progress.state = WatchState.BLOCKED
        while encoded:
            await self._write(encoded.popleft())
        self.progress.state = state


class Quiet:
    """Knows when one watch has been quiet for so long that it is due a bookmark.

    It has one timer, which is put off only when it rings: set and cancelled with every message, it would cost more than
    the message.
    """

    __slots__ = ("_feed", "_loop", "_over", "_seconds", "_timer", "_waiter")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._feed: Feed | None = None
        self._waiter: Waiter | None = None
        self.begin()
        self._timer = self._loop.call_at(self._over, self._ring)

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def begin(self) -> None:
        """Something was said just now."""
        self._over = self._loop.time() + self._seconds

    @property
    def is_over(self) -> bool:
        """Whether nothing was said for long enough."""
        return self._loop.time() >= self._over

    async def wait(self, feed: Feed, topics: Topics) -> Position:
        """Where to go on when there is more to read, or when it is over."""
        self._feed = feed
        self._waiter = feed.join(topics)
        try:
            return await self._waiter
        finally:
            feed.leave(self._waiter, topics)

    def _ring(self) -> None:
        next_ring = self._over
        if self.is_over:
            next_ring = self._loop.time() + self._seconds
            if self._feed and self._waiter:
                self._feed.call(self._waiter)
        self._timer = self._loop.call_at(next_ring, self._ring)


class Follower:
    """One watch, once it has its snapshot: up to date (it waits for the feed), behind (it reads the table at its own
    pace) or blocked (a message waits for the client).
    """

    __slots__ = (
        "_audience",
        "_delivering",
        "_feed",
        "_history",
        "_passed",
        "_position",
        "_progress",
        "_quiet",
        "_sending",
        "_synced",
        "_watches",
    )

    def __init__(
        self, watches: Watches, feed: Feed, history: History, audience: Audience, quiet: Quiet, sending: Sending
    ) -> None:
        self._watches = watches
        self._feed = feed
        self._history = history
        self._audience = audience
        self._quiet = quiet
        self._sending = sending
        self._progress = sending.progress
        self._position = position_after(0)
        # Whether the client was told of a commit that goes on.
        self._delivering = False
        self._synced = False
        self._passed = 0

    async def follow(self, after: int, synced_at: int) -> None:
        """Sends what comes after a revision, without an end."""
        self._position = position_after(after)
        self._quiet.begin()
        while self._position.ordinal or self._position.revision <= synced_at:
            await self._go_on()
        await self._send_progress(synced=True)
        self._synced = True
        self._quiet.begin()
        while True:
            await self._go_on()

    async def _go_on(self) -> None:
        self._feed.check_running()
        self._feed.check_history(self._history)
        if self._quiet.is_over:
            await self._send_bookmark()
        elif not self._feed.is_beyond(self._position):
            self._progress.state = WatchState.UP_TO_DATE
            await self._wait()
        elif recent := self._feed.part_at(self._position):
            message = self._watches.message(recent, self._audience)
            async with self._sending.place() if message.is_large else nullcontext():
                encoded = await self._go_past(recent, message)
                # What waits for the client holds nothing else.
                del recent, message
                await self._write(encoded)
        else:
            await self._catch_up()

    async def _wait(self) -> None:
        ahead = await self._quiet.wait(self._feed, self._topics)
        # Those whom another history or the end of the service woke have not come to that place.
        self._feed.check_running()
        self._feed.check_history(self._history)
        # From the table, it may have read more than the feed has.
        self._position = max(self._position, ahead)

    @property
    def _topics(self) -> Topics:
        # The client waits for the end of the commit, or for synced, whatever the rest of it is about.
        return self._audience.topics if self._synced and not self._delivering else None

    async def _send_bookmark(self) -> None:
        # A bookmark says that the watch is alive, so there is none while the database is away.
        if self._feed.live and not self._position.ordinal:
            await self._send_progress(synced=False)
        self._quiet.begin()

    async def _send_progress(self, *, synced: bool) -> None:
        message = ProgressMessage(revision=self._position.revision - 1, synced=synced)
        await self._sending.write(await self._sending.encode(message))

    async def _catch_up(self) -> None:
        self._progress.state = WatchState.BEHIND
        async with self._sending.place():
            for part in await self._watches.parts_from(self._position):
                self._feed.check_history(self._history)
                if not self._feed.is_beyond(part.first):
                    # Whether the caller may still see it is settled by what the feed has read until then.
                    return
                await self._write(await self._go_past(part, self._audience.message(part, shared=False)))

    async def _go_past(self, part: CommitPart, message: CommitMessage) -> deque[bytes]:
        """Goes on to what is after the part; what the client is to be told of it."""
        if part.first != self._position:
            raise RuntimeError(f"the log has a gap: {part.first} follows {self._position}")
        encoded = deque[bytes]()
        if message.events or (self._delivering and not part.more):
            # Who was told that a commit goes on is told of its end, even if nothing more in it is for this watch.
            encoded = await self._sending.encode(message)
        else:
            self._passed += 1 + len(part.changes)
            if self._passed >= PASSED_AT_ONCE:
                self._passed = 0
                await asyncio.sleep(0)
        self._delivering = part.more and (self._delivering or bool(message.events))
        self._position = part.next
        return encoded

    async def _write(self, encoded: deque[bytes]) -> None:
        if encoded:
            await self._sending.write(encoded)
            self._quiet.begin()
        position = self._position
        self._progress.revision = position.revision if position.ordinal else position.revision - 1
