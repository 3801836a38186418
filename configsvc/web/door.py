"""The ASGI application: finds the method of each request."""

from collections.abc import Mapping

from google.protobuf.descriptor import MethodDescriptor
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from configsvc.api.statuses import status_of
from configsvc.api.tenants import TENANT_KEY, TENANT_REFUSED
from configsvc.domain.errors import ConfigsvcError
from configsvc.web.browsers import BrowserRules
from configsvc.web.calls import Handler
from configsvc.web.console import ConsoleSettings
from configsvc.web.errors import HTTP_STATUSES, error_body, error_headers
from configsvc.web.exchange import Exchange, Receive, Scope, Send
from configsvc.web.health import HealthPages
from configsvc.web.pages import VERBS, Pages
from configsvc.web.routes import Routes

MAX_SHOWN = 200
TENANT_HEADER = TENANT_KEY.encode()


class Door:
    """The HTTP door, as one ASGI application."""

    def __init__(
        self,
        routes: Routes,
        handlers: Mapping[MethodDescriptor, Handler],
        health: HealthPages,
        browsers: BrowserRules,
        console: ConsoleSettings,
    ) -> None:
        self._pages = Pages(console)
        self._routes = routes
        self._handlers = handlers
        self._health = health
        self._browsers = browsers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        finally:
            exchange.finish()

    async def _answer(self, exchange: Exchange) -> None:
        path = exchange.scope["raw_path"].decode("latin-1")
        if path.startswith("/health") and await self._health.answer(exchange, path):
            return
        try:
            await self._call(exchange, path)
        except ConfigsvcError as error:
            await _refuse(exchange, status_of(error))

    async def _call(self, exchange: Exchange, path: str) -> None:
        exchange.always = self._browsers.headers(exchange)
        refusal = self._browsers.refusal(exchange)
        if refusal:
            await _refuse(exchange, Status(code=Code.PERMISSION_DENIED, message=refusal))
            return
        verb = exchange.scope["method"]
        if verb == "OPTIONS":
            await self._options(exchange, path)
            return
        if exchange.has(TENANT_HEADER):
            raise TENANT_REFUSED
        match = self._routes.match("GET" if verb == "HEAD" else verb, path)
        if match is not None:
            await self._handlers[match.route.method](exchange, match.route, match.variables)
        elif verb in VERBS and self._pages.has(path):
            await self._pages.answer(exchange, path)
        else:
            await _not_found(exchange, path, self._verbs(path))

    async def _options(self, exchange: Exchange, path: str) -> None:
        verbs = self._verbs(path)
        if not verbs:
            await _not_found(exchange, path, verbs)
            return
        allow = (b"allow", ", ".join(("OPTIONS", *verbs)).encode())
        await exchange.answer(204, b"", [allow, *self._browsers.preflight(exchange)])

    def _verbs(self, path: str) -> tuple[str, ...]:
        return VERBS if self._pages.has(path) else self._routes.verbs(path)


async def _not_found(exchange: Exchange, path: str, verbs: tuple[str, ...]) -> None:
    if not verbs:
        await _refuse(exchange, Status(code=Code.NOT_FOUND, message=f"nothing is at {path[:MAX_SHOWN]}: see /docs"))
        return
    status = Status(code=Code.UNIMPLEMENTED, message=f"this path takes {', '.join(verbs)} only")
    await exchange.answer(405, error_body(status), [*error_headers(status), (b"allow", ", ".join(verbs).encode())])


async def _refuse(exchange: Exchange, status: Status) -> None:
    await exchange.answer(HTTP_STATUSES[status.code], error_body(status), error_headers(status))
