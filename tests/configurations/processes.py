"""The reads of a process, without its doors: a feed, a cache and a second level over a database and a Redis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import pytest

from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import GetConfigurationResponse
from configsvc.configurations.cache import Cache
from configsvc.configurations.reads import Encoding, Reads
from configsvc.configurations.recent_changes import RecentChanges
from configsvc.configurations.second_level import SecondLevel
from configsvc.domain.errors import ResourceNotFoundError
from configsvc.domain.models import ConfigurationRef, KeyRef, Now
from configsvc.feed.feed import Feed
from configsvc.limits.slots import connection_turn
from configsvc.redis.store import RedisStore
from configsvc.redis.url import parse_redis_url
from configsvc.storage.database import open_database
from configsvc.storage.listener import Listener
from configsvc.storage.log import LogPage
from configsvc.wire.configurations import encoded_response, response_as_struct
from tests.service import LIMIT_SECONDS, POLL_SECONDS

# On a busy machine, Redis may take longer than the few milliseconds that a read waits for it.
ANSWER_SECONDS = 0.25


class StallingFeed(Feed):
    """A feed that a test can stall: it stays live and learns nothing new."""

    stalled = False

    async def _next_page(self, listener: Listener) -> LogPage:
        while self.stalled:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)
        return await super()._next_page(listener)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The result of a read: the configuration, or None, and the revision that it was shown for, 0 without one."""

    configuration: Configuration | None
    revision: int

    @property
    def number(self) -> int | None:
        """The number in it."""
        if self.configuration is None:
            return None
        return int(self.configuration.config.fields["n"].number_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The reads of one process."""

    feed: StallingFeed
    cache: Cache
    recent: RecentChanges
    store: RedisStore
    reads: Reads

    async def read(self, ref: ConfigurationRef, min_revision: int = 0, *, latest: bool = False) -> Read:
        """Read a configuration as GetConfiguration does."""
        try:
            shown = await self.reads.get(ref, Now(min_revision=min_revision, latest=latest), as_text=False)
        except ResourceNotFoundError:
            return Read(configuration=None, revision=0)
        return Read(
            configuration=GetConfigurationResponse.FromString(shown.encoded).configuration, revision=shown.revision
        )

    def forget(self) -> None:
        """Forget all answers, as if others had taken their place in the cache."""
        self.cache.reset(None)

    async def fed(self, revision: int) -> None:
        """Wait until the feed has read a revision."""
        await self.feed.wait_revision(revision, LIMIT_SECONDS)
        assert self.feed.revision >= revision

    async def ready(self) -> None:
        """Wait until Redis can be read and written, and all changes from before the start are known."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not (self.uses_redis() and not self.recent.is_short.is_set()):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)

    def uses_redis(self) -> bool:
        """Return whether Redis answers both reads and writes."""
        return all(lane.reachable for lane in (self.store._reads, self.store._writes))

    def count(self, outcome: str) -> int:
        """Return the number of lookups in Redis with this outcome."""
        return self.store._lookups.outcomes[outcome,]


@asynccontextmanager
async def process(database_url: str, redis_url: str) -> AsyncGenerator[Process]:
    """Run a process that is live, and uses Redis."""
    recent, cache = RecentChanges(), Cache(1024 * 1024)
    feed = StallingFeed(database_url, (cache, recent))
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr("configsvc.redis.store.READ_SECONDS", ANSWER_SECONDS)
        store = RedisStore(parse_redis_url(redis_url))
    encoding = Encoding(
        text=partial(encoded_response, as_text=True),
        struct=partial(encoded_response, as_text=False),
        text_to_struct=response_as_struct,
    )
    async with open_database(database_url, turn=connection_turn) as database:
        second_level = SecondLevel(store, feed, recent, database)
        reads = Reads(database, feed, cache, encoding, second_level)
        running = asyncio.gather(feed.run(), second_level.run())
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await feed.wait_live()
            one = Process(feed=feed, cache=cache, recent=recent, store=store, reads=reads)
            await one.ready()
            yield one
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def web() -> KeyRef:
    return KeyRef(application="shop", name="web")
