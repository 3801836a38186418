"""The limits over HTTP: handlers under uvicorn that do no work, of Starlette and of ASGI alone.

Run as `bench.peers.bare_web ADDRESS FILE`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

GET, STARLETTE, WATCH, PUBLISH = "/get", "/starlette", "/watch", "/publish"

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class BareWeb:
    """An application that answers with prepared bytes, and sends published bytes to each event stream."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        self._starlette = Starlette(routes=[Route(STARLETTE, self._respond)])
        self._published: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] == WATCH:
            await self._watch(send)
        elif scope["path"] == STARLETTE:
            await self._starlette(scope, receive, cast("Any", send))
        elif scope["path"] == PUBLISH:
            await self._publish((await receive())["body"], send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            await send({"type": "http.response.body", "body": self._answer})

    async def _respond(self, _request: Request) -> Response:
        return Response(self._answer, media_type="application/json")

    async def _watch(self, send: Send) -> None:
        published = self._published
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"event: opened\n\n", "more_body": True})
        while True:
            message = await asyncio.shield(published)
            published = self._published
            await send({"type": "http.response.body", "body": message, "more_body": True})

    async def _publish(self, message: bytes, send: Send) -> None:
        published, self._published = self._published, asyncio.get_running_loop().create_future()
        published.set_result(message)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def main(address: str, answer: bytes) -> None:
    host, _, port = address.rpartition(":")
    config = uvicorn.Config(
        BareWeb(answer),
        host=host,
        port=int(port),
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=4096,
        # The streams never end by themselves.
        timeout_graceful_shutdown=0,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
