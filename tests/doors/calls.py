"""Calls over HTTP, with the methods that calls of grpc.aio have."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Generator, Iterable
from typing import Any

import grpc
from grpc.aio import EOF, AioRpcError


class Call:
    """A call in progress, in a task of its own that begins at once."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(_retrieved)

    def cancel(self) -> bool:
        return self._task.cancel()

    def cancelled(self) -> bool:
        return self._task.cancelled()

    def done(self) -> bool:
        return self._task.done()

    async def code(self) -> grpc.StatusCode:
        error = await self._error()
        return error.code() if error else grpc.StatusCode.OK

    async def details(self) -> str:
        error = await self._error()
        return (error.details() if error else "") or ""

    async def trailing_metadata(self) -> Any:
        error = await self._error()
        return error.trailing_metadata() if error else grpc.aio.Metadata()

    async def _error(self) -> AioRpcError | None:
        await asyncio.wait((self._task,))
        if self._task.cancelled():
            nothing = grpc.aio.Metadata()
            return AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "Locally cancelled by application!")
        error = self._task.exception()
        if error is not None and not isinstance(error, AioRpcError):
            raise error
        return error


def _retrieved(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


class UnaryCall(Call):
    """A call that is answered once."""

    def __await__(self) -> Generator[Any, None, Any]:
        return self._task.__await__()


class UploadCall(UnaryCall):
    """A call that takes a stream of messages, from an iterable or from `write`, and is answered once."""

    def __init__(self, requests: Any, work: Callable[[AsyncIterable[Any]], Coroutine[Any, Any, Any]]) -> None:
        # One at a time: `write` returns when the one before was sent.
        self._written: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        super().__init__(work(self._queued() if requests is None else _iterated(requests)))

    async def write(self, message: Any) -> None:
        writing = asyncio.ensure_future(self._written.put(message))
        await asyncio.wait((writing, self._task), return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():
            writing.cancel()
            await self

    async def done_writing(self) -> None:
        await self.write(EOF)

    async def _queued(self) -> AsyncGenerator[Any]:
        while (message := await self._written.get()) is not EOF:
            yield message


async def _iterated(requests: AsyncIterable[Any] | Iterable[Any]) -> AsyncGenerator[Any]:
    if isinstance(requests, AsyncIterable):
        async for message in requests:
            yield message
    else:
        for message in requests:
            yield message


class StreamCall(Call):
    """A call that is answered by a stream, which is read no faster than its messages are taken."""

    def __init__(self, work: "Callable[[StreamCall], Coroutine[Any, Any, None]]") -> None:
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._room = asyncio.Semaphore(1)
        self._headers: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        super().__init__(work(self))
        self._task.add_done_callback(lambda _: self._messages.put_nowait(EOF))
        self._task.add_done_callback(lambda _: self._headers.done() or self._headers.set_result(None))

    def opened(self, headers: Any) -> None:
        """Note the headers of the answer."""
        self._headers.set_result(headers)

    async def put(self, message: Any) -> None:
        """Hand a message over, and wait until the one before was taken."""
        await self._room.acquire()
        self._messages.put_nowait(message)

    async def initial_metadata(self) -> Any:
        headers = await asyncio.shield(self._headers)
        if headers is None:
            await self._raise()
        return headers

    async def wait_for_connection(self) -> None:
        await self.initial_metadata()

    async def read(self) -> Any:
        message = await self._messages.get()
        if message is EOF:
            self._messages.put_nowait(EOF)
            await self._raise()
        else:
            self._room.release()
        return message

    def __aiter__(self) -> "StreamCall":
        return self

    async def __anext__(self) -> Any:
        message = await self.read()
        if message is EOF:
            raise StopAsyncIteration
        return message

    async def _raise(self) -> None:
        await asyncio.wait((self._task,))
        if self._task.cancelled():
            raise asyncio.CancelledError
        ended: Awaitable[None] = self._task
        await ended
