"""Reads of single configurations: from the cache if it is fresh, otherwise from the second level or the database, one
query for all concurrent callers.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from configsvc.aio import SharedRead
from configsvc.configurations.cache import Answer, Cache
from configsvc.configurations.second_level import SecondLevel
from configsvc.domain.commits import History
from configsvc.domain.errors import ResourceNotFoundError
from configsvc.domain.models import Configuration, ConfigurationRef, IdRef, KeyRef, Now
from configsvc.feed.feed import Feed
from configsvc.limits.slots import Slots, caller_slots
from configsvc.storage import configurations, log
from configsvc.storage.database import Database
from configsvc.telemetry.families import Families, counter

Reading: TypeAlias = tuple[History, ConfigurationRef, bool, Slots | None]

# The maximum age of a cached answer, by the feed's last read to the end of the log. It reads at least every 2 s.
STALENESS_LIMIT_SECONDS = 5.0
FEED_LIMIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The result of a query, at a revision; `answer` is None if the configuration does not exist."""

    answer: Answer | None
    shown_revision: int


class Shown(NamedTuple):
    """An encoded configuration, and the revision that it is current for."""

    application_id: str
    encoded: bytes
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """Functions that encode a configuration, its content as text or as a Struct, and make the second of the first."""

    text: Callable[[Configuration], bytes]
    struct: Callable[[Configuration], bytes]
    text_to_struct: Callable[[bytes], bytes]


class Reads:
    """Reads of configurations through a cache that the feed invalidates.

    A cached answer is current up to the feed's revision, or up to its own if that is later. A result of the database is
    cached or shared only if nothing newer was shown before by another read, by a write of this process or by the feed.
    """

    def __init__(
        self, database: Database, feed: Feed, cache: Cache, encoding: Encoding, second_level: SecondLevel | None = None
    ) -> None:
        self.hits = self.misses = self.overtaken = 0
        self._database = database
        self._feed = feed
        self._cache = cache
        self._encoding = encoding
        self._second_level = second_level
        self._head = SharedRead(self._read_head)
        self._history = feed.history
        # The newest revision that any caller was shown, and the revision that the cache must have reached to be used.
        self._shown = self._required = 0
        # The reads in progress, by history and form. The result None: the reader was cancelled.
        self._reading: dict[Reading, asyncio.Future[Found | Exception | None]] = {}

    def collect(self) -> Families:
        """Yield the metrics of reads."""
        yield counter("cache_hits", "Reads answered from the cache.", self.hits)
        yield counter("cache_misses", "Reads answered from the database.", self.misses)
        yield counter("cache_overtaken", "Reads of the database that were too old to cache.", self.overtaken)

    async def get(self, ref: ConfigurationRef, moment: Now, *, as_text: bool) -> Shown:
        """Return a configuration at a moment, its content encoded as text or not.

        Raises ResourceNotFoundError, RevisionUnknownError, RecordUnreadableError, DatabaseBusyError or
        DatabaseUnavailableError.
        """
        self._notice_history()
        least, is_same_history = moment.min_revision, True
        if moment.latest:
            least, epoch = await self._head.read()
            is_same_history = epoch == self._feed.history.epoch
        if least > self._feed.revision and is_same_history and self._is_fresh:
            await self._feed.wait_revision(least, FEED_LIMIT_SECONDS)
        is_fresh = is_same_history and self._is_fresh
        answer = self._remembered(ref, least, as_text=as_text) if is_fresh else None
        if answer is not None:
            self.hits += 1
            return self._in_form(answer, max(answer.shown_revision, self._feed.revision), as_text=as_text)
        self.misses += 1
        found = await (self._shared(ref, least, as_text) if is_fresh else self._read(ref, as_text))
        log.check_head(least, found.shown_revision)
        if found.answer is None:
            raise ResourceNotFoundError("configuration", str(ref))
        return self._in_form(found.answer, found.shown_revision, as_text=as_text)

    async def _read_head(self) -> tuple[int, str]:
        """Return the head of the database and its epoch.

        The head comes first: if another history begins in between, it is not taken for a head of that one.
        """
        async with self._database.read() as connection:
            head = await log.head(connection)
            return head, await log.epoch(connection)

    def _in_form(self, answer: Answer, revision: int, *, as_text: bool) -> Shown:
        encoded = answer.text if as_text else answer.struct or self._as_struct(answer)
        assert encoded is not None
        return Shown(answer.application_id, encoded, revision)

    def _as_struct(self, answer: Answer) -> bytes:
        """Return a cached answer with a Struct, and keep that beside the text."""
        assert answer.text is not None
        encoded = self._encoding.text_to_struct(answer.text)
        self._cache.put(replace(answer, struct=encoded))
        return encoded

    def cached_application_id(self, ref: IdRef) -> str | None:
        """Return the application that the cached answer names, if there is one."""
        answer = self._cache.peek(ref)
        return None if answer is None else answer.application_id

    def note_write(self, configuration: Configuration) -> None:
        """Make further reads show this write of the configuration or a later one."""
        self._notice_history()
        revision = configuration.revision
        self._shown = max(self._shown, revision)
        self._forget_names(configuration, before=revision)

    def require(self, revision: int) -> None:
        """Make further reads show a revision or a later one: from the database until the feed has reached it."""
        self._notice_history()
        self._shown = max(self._shown, revision)
        self._required = max(self._required, revision)
        if self._second_level:
            self._second_level.require(revision)

    def _notice_history(self) -> None:
        if self._history is not self._feed.history:
            self._history = self._feed.history
            self._shown = self._required = 0

    @property
    def _is_fresh(self) -> bool:
        feed = self._feed
        return self._cache.limit_bytes > 0 and feed.live and feed.lag_seconds <= STALENESS_LIMIT_SECONDS

    def _remembered(self, ref: ConfigurationRef, least: int, *, as_text: bool) -> Answer | None:
        answer = self._cache.get(ref)
        # Text is not made of a Struct, which does not know how PostgreSQL writes a number.
        if answer is None or (as_text and answer.text is None):
            return None
        least = max(least, self._required)
        return answer if answer.shown_revision >= least or self._feed.revision >= least else None

    async def _shared(self, ref: ConfigurationRef, min_revision: int, as_text: bool) -> Found:
        """Share a read in progress, unless its result may be older than what was shown before this call."""
        # Callers share only with those that wait in the same slots.
        key = (self._feed.history, ref, as_text, caller_slots.get())
        least = max(self._shown, self._feed.revision, min_revision)
        while (reading := self._reading.get(key)) is not None:
            outcome = await asyncio.shield(reading)
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None and outcome.shown_revision >= least:
                return outcome
        return await self._read_for_all(key, min_revision)

    async def _read_for_all(self, key: Reading, min_revision: int) -> Found:
        _, ref, as_text, _ = key
        reading = self._reading[key] = asyncio.get_running_loop().create_future()
        outcome: Found | Exception | None = None
        try:
            found = outcome = await self._elsewhere(ref, min_revision, as_text) or await self._read(ref, as_text)
        except Exception as error:
            outcome = error
            raise
        finally:
            del self._reading[key]
            reading.set_result(outcome)
        return found

    async def _elsewhere(self, ref: ConfigurationRef, min_revision: int, as_text: bool) -> Found | None:
        """Return what the second level has, if the cache could have it too."""
        if self._second_level is None:
            return None
        answer = await self._second_level.find(ref, min_revision, as_text=as_text)
        if answer is None or not self._is_fresh:
            return None
        self._cache.put(answer)
        return Found(answer=answer, shown_revision=answer.shown_revision)

    async def _read(self, ref: ConfigurationRef, as_text: bool) -> Found:
        history = self._feed.history
        async with self._database.read() as connection:
            configuration, shown_revision, commit = await configurations.get(connection, ref)
        answer = None if configuration is None else self._answer(configuration, shown_revision, as_text)
        if history is self._feed.history:
            self._remember(ref, answer, shown_revision)
            if self._second_level and answer is not None and commit is not None:
                self._second_level.keep(ref, answer, commit, history)
        return Found(answer=answer, shown_revision=shown_revision)

    def _answer(self, configuration: Configuration, shown_revision: int, as_text: bool) -> Answer:
        return Answer(
            id=configuration.id,
            application_id=configuration.application_id,
            application=configuration.application,
            name=configuration.name,
            text=self._encoding.text(configuration) if as_text else None,
            struct=None if as_text else self._encoding.struct(configuration),
            shown_revision=shown_revision,
        )

    def _forget_names(self, known: Answer | Configuration, *, before: int) -> None:
        self._forget(IdRef(id=known.id), before=before)
        self._forget(KeyRef(application=known.application, name=known.name), before=before)

    def _forget(self, ref: ConfigurationRef, *, before: int) -> None:
        self._cache.forget(ref, before=before)
        if self._second_level:
            self._second_level.forget(ref, before=before)

    def _remember(self, ref: ConfigurationRef, answer: Answer | None, shown_revision: int) -> None:
        # Older answers must not be shown after this one, even if this one is not cached.
        self._forget(ref, before=shown_revision)
        if answer is not None:
            self._forget_names(answer, before=shown_revision)
        if shown_revision < max(self._shown, self._feed.revision):
            self.overtaken += 1
            return
        self._shown = shown_revision
        if answer is not None:
            self._cache.put(answer)
