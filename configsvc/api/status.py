"""ServerService, without a transport."""

from google.protobuf.duration_pb2 import Duration

from configapi.v1.server_service_pb2 import GetServerStatusRequest, GetServerStatusResponse
from configsvc.access.caller import Caller
from configsvc.feed.feed import Feed


class ServerServicer:
    """One method for each RPC, named like it."""

    def __init__(self, feed: Feed, version: str) -> None:
        self._feed = feed
        self._version = version

    async def GetServerStatus(self, request: GetServerStatusRequest, caller: Caller) -> GetServerStatusResponse:
        return GetServerStatusResponse(
            version=self._version,
            epoch=self._feed.history.epoch,
            revision=self._feed.revision,
            live=self._feed.live,
            feed_lag=_duration(self._feed.lag_seconds),
            compacted_revision=self._feed.compacted_revision,
        )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
