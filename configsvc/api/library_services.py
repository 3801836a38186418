"""Handlers for health and reflection, which clients may call without credentials.

With the packages' own handlers, malformed bytes end a call with UNKNOWN, an exception text, and a traceback in the log.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from functools import partial
from typing import Any

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from configsvc.api.draining import Drain
from configsvc.api.exchanges import Answer, Exchange, Handler, received_body
from configsvc.api.methods import Write as WriteBytes
from configsvc.api.statuses import status_of
from configsvc.domain.errors import ConfigsvcError
from configsvc.domain.peers import host_of
from configsvc.limits.bodies import Bodies
from configsvc.limits.streams import HostStreams
from configsvc.wire.parsing import AnyMessage, parsed

Write = Callable[[Message], Awaitable[None]]

# A client that has not read a message by then loses its place among the streams.
UNREAD_SECONDS = 5.0


def unary_handler(
    behaviour: Callable[[Any], Awaitable[Message]], request_class: type[Message], bodies: Bodies
) -> Handler:
    """Return the handler of a unary method, whose behaviour returns an answer or a status."""

    async def handle(exchange: Exchange) -> Answer | Status:
        try:
            answer = await behaviour(await _request(request_class, bodies, exchange))
        except ConfigsvcError as error:
            return status_of(error)
        return answer if isinstance(answer, Status) else (answer.SerializeToString(),)

    return handle


class LibraryStreams:
    """The streams of health and reflection: limited for each host, and ended when the server ends."""

    def __init__(self, drain: Drain, bodies: Bodies) -> None:
        self._drain = drain
        self._bodies = bodies
        self._hosts = HostStreams()

    def stream_handler(
        self, behaviour: Callable[[Any, Write], Awaitable[None]], request_class: type[Message]
    ) -> Handler:
        """Return the handler of a method that writes its responses."""

        async def serve(exchange: Exchange, write: Write) -> None:
            request = await _request(request_class, self._bodies, exchange)
            await behaviour(request, write)

        return self._handler(serve)

    def exchange_handler(
        self, behaviour: Callable[[AsyncIterable[Any]], AsyncIterable[Message]], request_class: type[Message]
    ) -> Handler:
        """Return the handler of a method that answers each request of a stream."""

        async def requests_of(exchange: Exchange) -> AsyncGenerator[Message]:
            while (data := await self._bodies.receive(exchange.receive, exchange.connection_address, None)) is not None:
                yield parsed(request_class, data)

        async def serve(exchange: Exchange, write: Write) -> None:
            async for answer in behaviour(requests_of(exchange)):
                await write(answer)

        return self._handler(serve)

    def _handler(self, serve: Callable[[Exchange, Write], Awaitable[None]]) -> Handler:
        async def handle(exchange: Exchange) -> Status | None:
            """Run a stream. Its errors become its status."""
            try:
                with self._hosts.opened(host_of(exchange.peer())):
                    async with self._drain.endless():
                        await serve(exchange, partial(_write, exchange.patient_writer()))
            except ConfigsvcError as error:
                return status_of(error)
            except exchange.broken as error:
                raise asyncio.CancelledError from error
            return None

        return handle


async def _write(write: WriteBytes, message: Message) -> None:
    """Write a message. Raises CancelledError if the client does not read it in time."""
    try:
        async with asyncio.timeout(UNREAD_SECONDS):
            await write(message.SerializeToString())
    except TimeoutError as error:
        # Nothing else can be done: grpcio keeps the stream until its client reads or hangs up.
        raise asyncio.CancelledError from error


async def _request(request_class: type[AnyMessage], bodies: Bodies, exchange: Exchange) -> AnyMessage:
    body = exchange.whole()
    return parsed(request_class, await received_body(bodies, None, exchange) if body is None else body)
