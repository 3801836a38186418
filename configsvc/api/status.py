"""ServerService, without a transport."""

from functools import partial

from configapi.v1.server_service_pb2 import (
    GetServerStatusRequest,
    GetServerStatusResponse,
    ListWatchesRequest,
    ListWatchesResponse,
)
from configsvc.access.caller import Caller
from configsvc.feed.feed import Feed
from configsvc.offload.threads import LargeAnswers
from configsvc.watch.registry import WatchRegistry
from configsvc.wire import open_watches
from configsvc.wire.times import duration


class ServerServicer:
    """One method for each RPC, named like it."""

    def __init__(self, feed: Feed, watches: WatchRegistry, large: LargeAnswers, version: str) -> None:
        self._feed = feed
        self._watches = watches
        self._large = large
        self._version = version

    async def GetServerStatus(self, request: GetServerStatusRequest, caller: Caller) -> GetServerStatusResponse:
        return GetServerStatusResponse(
            version=self._version,
            epoch=self._feed.history.epoch,
            revision=self._feed.revision,
            live=self._feed.live,
            feed_lag=duration(self._feed.lag_seconds),
            compacted_revision=self._feed.compacted_revision,
        )

    async def ListWatches(self, request: ListWatchesRequest, caller: Caller) -> ListWatchesResponse:
        parsed = open_watches.listing(request)
        page = self._watches.page(parsed.after, parsed.limit)
        return await self._large.run(partial(open_watches.list_response, request, page, self._feed.history.epoch))
