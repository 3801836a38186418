"""ServerService, without a transport."""

from datetime import UTC, datetime
from functools import partial

from configapi.v1.server_service_pb2 import (
    GetServerStatusRequest,
    GetServerStatusResponse,
    ListWatchesRequest,
    ListWatchesResponse,
    ServerLimits,
)
from configsvc.access.caller import Caller
from configsvc.domain.content import MAX_CONTENT_BYTES, MAX_CONTENT_DEPTH
from configsvc.domain.schema_versions import MAX_DOCUMENT_BYTES
from configsvc.domain.sizes import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from configsvc.feed.feed import Feed
from configsvc.feed.head import Head
from configsvc.offload.threads import LargeAnswers
from configsvc.watch.registry import WatchRegistry
from configsvc.wire import open_watches
from configsvc.wire.configurations import MAX_BATCH
from configsvc.wire.paging import MAX_PAGE_SIZE
from configsvc.wire.selectors import MAX_SELECTOR_NAMES
from configsvc.wire.times import duration, timestamp
from configsvc.wire.watch_requests import MAX_SELECTORS
from configsvc.wire.writes import MAX_WRITES


class ServerServicer:
    """One method for each RPC, named like it."""

    def __init__(
        self,
        feed: Feed,
        head: Head,
        watches: WatchRegistry,
        large: LargeAnswers,
        version: str,
        *,
        watches_per_caller: int,
        workers: int,
    ) -> None:
        self._feed = feed
        self._head = head
        self._watches = watches
        self._large = large
        self._version = version
        self._limits = server_limits(watches_per_caller)
        self._workers = workers

    async def GetServerStatus(self, request: GetServerStatusRequest, caller: Caller) -> GetServerStatusResponse:
        head = await self._head.revision_if_known()
        return GetServerStatusResponse(
            version=self._version,
            epoch=self._feed.history.epoch,
            revision=self._feed.revision,
            live=self._feed.live,
            feed_lag=duration(self._feed.lag_seconds),
            compacted_revision=self._feed.compacted_revision,
            head_revision=head or 0,
            server_time=timestamp(datetime.now(UTC)),
            limits=self._limits,
            worker_count=self._workers,
        )

    async def ListWatches(self, request: ListWatchesRequest, caller: Caller) -> ListWatchesResponse:
        parsed = open_watches.listing(request)
        page = self._watches.page(parsed.after, parsed.limit)
        return await self._large.run(partial(open_watches.list_response, request, page, self._feed.history.epoch))


def server_limits(watches_per_caller: int) -> ServerLimits:
    """Return the limits of this server: each is the constant that enforces it."""
    return ServerLimits(
        content_bytes=MAX_CONTENT_BYTES,
        document_bytes=MAX_DOCUMENT_BYTES,
        content_depth=MAX_CONTENT_DEPTH,
        request_bytes=MAX_REQUEST_BYTES,
        response_bytes=MAX_RESPONSE_BYTES,
        page_size=MAX_PAGE_SIZE,
        batch_size=min(MAX_BATCH, MAX_WRITES),
        watch_selectors=MAX_SELECTORS,
        selector_names=MAX_SELECTOR_NAMES,
        watches_per_caller=watches_per_caller,
    )
