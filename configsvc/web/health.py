"""Health over HTTP: for probes, and for people. Everybody may read it, so it has nothing secret."""

import json

from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from configsvc.configurations.second_level import SecondLevel
from configsvc.feed.feed import Feed
from configsvc.storage.database import Database
from configsvc.web.errors import error_body
from configsvc.web.exchange import Exchange, Headers

_PAGES = ("/health", "/health/live", "/health/ready")
_NO_STORE: Headers = [(b"cache-control", b"no-store")]
_TEXT = b"text/plain; charset=utf-8"


class HealthPages:
    """The pages under /health. `serving` is that of the gRPC health service."""

    def __init__(self, database: Database, feed: Feed, second_level: SecondLevel | None, version: str) -> None:
        self.serving = False
        self._database = database
        self._feed = feed
        self._second_level = second_level
        self._version = version

    async def answer(self, exchange: Exchange, path: str) -> bool:
        """Answer a request for one of the pages. Return whether it is one."""
        status, page = 200 if self.serving else 503, path.rstrip("/")
        if page in _PAGES and exchange.scope["method"] not in ("GET", "HEAD"):
            error = Status(code=Code.UNIMPLEMENTED, message="health has GET and HEAD only")
            await exchange.answer(405, error_body(error), [*_NO_STORE, (b"allow", b"GET, HEAD")])
            return True
        match page:
            case "/health/live":
                await exchange.answer(200, b"live\n", _NO_STORE, content_type=_TEXT)
            case "/health/ready":
                body = b"ready\n" if self.serving else b"not ready\n"
                await exchange.answer(status, body, _NO_STORE, content_type=_TEXT)
            case "/health":
                await exchange.answer(status, json.dumps(self._state()).encode() + b"\n", _NO_STORE)
            case _:
                return False
        return True

    def _state(self) -> dict[str, object]:
        feed = self._feed
        state: dict[str, object] = {
            "status": "SERVING" if self.serving else "NOT_SERVING",
            "version": self._version,
            "database": {"reachable": feed.live},
            "pools": self._database.pool_states,
            "feed": {"live": feed.live, "lag_seconds": round(feed.lag_seconds, 3)},
        }
        if self._second_level:
            # For people: the service is as ready without it.
            state["redis"] = {"reachable": self._second_level.reachable}
        return state
