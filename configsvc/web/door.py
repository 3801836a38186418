"""The ASGI application: finds the method of each request."""

from collections.abc import Mapping

from google.protobuf.descriptor import MethodDescriptor
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from configsvc.domain.errors import InvalidRequestError
from configsvc.web.browsers import BrowserRules
from configsvc.web.calls import Handler
from configsvc.web.errors import HTTP_STATUSES, error_body, error_headers
from configsvc.web.exchange import Exchange, Receive, Scope, Send
from configsvc.web.health import HealthPages
from configsvc.web.routes import Routes


class Door:
    """The HTTP door, as one ASGI application."""

    def __init__(
        self,
        routes: Routes,
        handlers: Mapping[MethodDescriptor, Handler],
        health: HealthPages,
        browsers: BrowserRules,
    ) -> None:
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
        verb, path = exchange.scope["method"], exchange.scope["raw_path"].decode("ascii", "replace")
        if path.startswith("/health") and await self._health.answer(exchange, path):
            return
        try:
            exchange.always = self._browsers.headers(exchange)
            refusal = self._browsers.refusal(exchange)
            match = self._routes.match("GET" if verb == "HEAD" else verb, path)
            verbs = () if match else self._routes.verbs(path)
        except InvalidRequestError as error:
            await _refuse(exchange, Code.INVALID_ARGUMENT, str(error))
            return
        except UnicodeDecodeError:
            await _refuse(exchange, Code.INVALID_ARGUMENT, "the path is not UTF-8, percent-encoded")
            return
        if refusal:
            await _refuse(exchange, Code.PERMISSION_DENIED, refusal)
        elif verb == "OPTIONS":
            await self._options(exchange, verbs)
        elif match is None:
            await _not_found(exchange, verbs)
        else:
            await self._handlers[match.route.method](exchange, match.route, match.variables)

    async def _options(self, exchange: Exchange, verbs: tuple[str, ...]) -> None:
        if not verbs:
            await _not_found(exchange, verbs)
            return
        allow = (b"allow", ", ".join(("OPTIONS", *verbs)).encode())
        await exchange.answer(204, b"", [allow, *self._browsers.preflight(exchange)])


async def _not_found(exchange: Exchange, verbs: tuple[str, ...]) -> None:
    if not verbs:
        await _refuse(exchange, Code.NOT_FOUND, "there is nothing at this path: see /docs")
        return
    status = Status(code=Code.UNIMPLEMENTED, message=f"this path has {', '.join(verbs)} only")
    headers = [*error_headers(status), (b"allow", ", ".join(verbs).encode())]
    await exchange.answer(405, error_body(status), headers)


async def _refuse(exchange: Exchange, code: Code, message: str) -> None:
    status = Status(code=code, message=message)
    await exchange.answer(HTTP_STATUSES[code], error_body(status), error_headers(status))
