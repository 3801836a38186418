"""The second level of the read cache: answers that other processes, or earlier ones, left in Redis.

Nothing there is believed. An answer says at which commit it was true, and it is used if the history of this process has
that commit and no later change of the configuration, as its own feed shows.
"""

import asyncio
from dataclasses import replace

import structlog

from configsvc.configurations.cache import Answer
from configsvc.configurations.entries import Entry, decoded_entry, encoded_entry, entry_key
from configsvc.configurations.recent_changes import RecentChanges, identity_of
from configsvc.domain.commits import Commit, History
from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.models import ConfigurationRef, IdRef, KeyRef
from configsvc.feed.feed import Feed
from configsvc.redis.store import RedisStore
from configsvc.storage import log as database_log
from configsvc.storage.database import Database
from configsvc.telemetry.families import Families, gauge

log = structlog.get_logger()

# Changes that one statement reads, which takes some milliseconds.
PAGE_CHANGES = 2_000
RETRY_SECONDS = 5.0
# References whose later state was shown before the feed had reached it. Beyond, nothing is used until it has.
LIMIT_AHEAD = 10_000


class SecondLevel:
    """Answers in Redis. Belongs to one event loop."""

    def __init__(self, store: RedisStore, feed: Feed, recent: RecentChanges, database: Database) -> None:
        self._store = store
        self._feed = feed
        self._recent = recent
        self._database = database
        # References whose state at a revision that the feed has not reached was shown, and the last of these revisions.
        self._history = feed.history
        self._ahead: dict[ConfigurationRef, int] = {}
        self._ahead_until = self._nothing_until = 0

    def collect(self) -> Families:
        """Yield the metrics of the second level."""
        yield gauge(
            "redis_known_commits", "Commits whose changes are known, so that entries can be checked.", len(self._recent)
        )
        yield from self._store.collect()

    @property
    def reachable(self) -> bool:
        """True while Redis answers in time."""
        return self._store.reachable

    async def find(self, ref: ConfigurationRef, least: int, *, as_text: bool) -> Answer | None:
        """Return the answer for a configuration that is current for the feed's revision; None if there is none, or if
        the feed has not reached a revision.
        """
        history = self._feed.history
        key = entry_key(history.epoch, ref, as_text=as_text)
        value = self._store.get(key)
        if value is None or (found := await value) is None:
            return None
        entry = decoded_entry(key, ref, found, as_text=as_text)
        if entry is None or not self._is_true(entry, ref, history, least):
            self._store.note("unusable")
            return None
        self._store.note("used")
        answer = replace(entry.answer, shown_revision=self._feed.revision)
        if self._recent.is_old(entry.revision) and (last := self._recent.last()):
            self._store.put(key, encoded_entry(key, Entry(revision=last[0], identity=last[1], answer=answer)))
        return answer

    def keep(self, ref: ConfigurationRef, answer: Answer, commit: Commit, history: History) -> None:
        """Leave an answer for other processes that was read at a commit."""
        if not history.epoch:
            return
        key = entry_key(history.epoch, ref, as_text=answer.text is not None)
        entry = Entry(revision=commit.revision, identity=identity_of(commit), answer=answer)
        self._store.put(key, encoded_entry(key, entry))

    def forget(self, ref: ConfigurationRef, *, before: int) -> None:
        """Use no answer that is not current for the revision, now that this process has shown it."""
        self._notice_history()
        if before <= self._feed.revision:
            return
        if len(self._ahead) >= LIMIT_AHEAD:
            self.require(self._ahead_until)
            self._ahead.clear()
        self._ahead[ref] = max(before, self._ahead.get(ref, 0))
        self._ahead_until = max(self._ahead_until, before)

    def require(self, revision: int) -> None:
        """Use nothing until the feed has reached the revision."""
        self._notice_history()
        self._nothing_until = max(self._nothing_until, revision)

    def _notice_history(self) -> None:
        if self._history is not self._feed.history:
            self._history = self._feed.history
            self._ahead.clear()
            self._ahead_until = self._nothing_until = 0

    def _is_true(self, entry: Entry, ref: ConfigurationRef, history: History, least: int) -> bool:
        answer, reached = entry.answer, self._feed.revision
        self._notice_history()
        if history is not self._feed.history or reached < max(least, self._nothing_until):
            return False
        if reached < self._ahead_until:
            names = (ref, IdRef(id=answer.id), KeyRef(application=answer.application, name=answer.name))
            if any(self._ahead.get(name, 0) > reached for name in names):
                return False
        elif self._ahead:
            self._ahead.clear()
        return self._recent.is_unchanged(answer.id, entry.revision, entry.identity)

    async def run(self) -> None:
        """Exchange with Redis, and learn of changes from before the start, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._store.run())
            tasks.create_task(self._learn())

    async def _learn(self) -> None:
        while True:
            await self._recent.is_short.wait()
            try:
                async with self._database.read() as connection:
                    page = await database_log.recent_commits(connection, self._recent.first, PAGE_CHANGES)
            except ConfigsvcError as error:
                log.warning("earlier changes are not known yet, and entries in Redis not used", error=repr(error))
            else:
                if self._recent.extend(page):
                    continue
            await asyncio.sleep(RETRY_SECONDS)
