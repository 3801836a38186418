"""Health over HTTP: for probes, and for people."""

import json

from configsvc.feed.feed import Feed
from configsvc.telemetry.calls import InFlight
from configsvc.web.exchange import Exchange

NO_STORE = [(b"cache-control", b"no-store")]


class HealthPages:
    """The pages under /health. `serving` is that of the gRPC health service."""

    def __init__(self, feed: Feed, in_flight: InFlight, version: str) -> None:
        self.serving = False
        self._feed = feed
        self._in_flight = in_flight
        self._version = version

    async def answer(self, exchange: Exchange, path: str) -> bool:
        """Answer a request for one of the pages. Return whether it is one."""
        match path.rstrip("/"):
            case "/health/live":
                await exchange.answer(200, b"live\n", NO_STORE, content_type=b"text/plain")
            case "/health/ready":
                body = b"ready\n" if self.serving else b"not ready\n"
                await exchange.answer(200 if self.serving else 503, body, NO_STORE, content_type=b"text/plain")
            case "/health":
                body = json.dumps(self._state()).encode() + b"\n"
                await exchange.answer(200 if self.serving else 503, body, NO_STORE)
            case _:
                return False
        return True

    def _state(self) -> dict[str, object]:
        feed = self._feed
        return {
            "status": "serving" if self.serving else "not serving",
            "version": self._version,
            "database": {"reachable": feed.live, "epoch": feed.history.epoch},
            "feed": {"revision": feed.revision, "lag_seconds": round(feed.lag_seconds, 3)},
            "calls_in_flight": self._in_flight.count,
        }
