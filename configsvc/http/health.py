"""Health over HTTP: for probes, and for people."""

import json

from configsvc.feed.feed import Feed
from configsvc.http.exchange import Exchange
from configsvc.telemetry.calls import InFlight

NO_STORE = [(b"cache-control", b"no-store")]


class HealthPages:
    """The pages under /health. `draining` is set while the service ends."""

    def __init__(self, feed: Feed, in_flight: InFlight, version: str) -> None:
        self.draining = False
        self._feed = feed
        self._in_flight = in_flight
        self._version = version

    async def answer(self, exchange: Exchange, path: str) -> bool:
        """Answer a request for one of the pages. Return whether it is one."""
        match path.rstrip("/"):
            case "/health/live":
                await exchange.answer(200, b"live\n", NO_STORE, content_type=b"text/plain")
            case "/health/ready":
                ready = self._is_ready
                body = b"ready\n" if ready else b"not ready\n"
                await exchange.answer(200 if ready else 503, body, NO_STORE, content_type=b"text/plain")
            case "/health":
                body = json.dumps(self._state()).encode() + b"\n"
                await exchange.answer(200 if self._is_ready else 503, body, NO_STORE)
            case _:
                return False
        return True

    @property
    def _is_ready(self) -> bool:
        return self._feed.live and not self.draining

    def _state(self) -> dict[str, object]:
        feed = self._feed
        return {
            "status": "draining" if self.draining else "serving" if feed.live else "not serving",
            "version": self._version,
            "database": {"reachable": feed.live, "epoch": feed.history.epoch},
            "feed": {"revision": feed.revision, "lag_seconds": round(feed.lag_seconds, 3)},
            "calls_in_flight": self._in_flight.count,
        }
