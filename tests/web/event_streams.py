"""A reader of server-sent events and JSON lines over HTTP/1.1, written from the specifications alone.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

LIMIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `id` is the last id of the stream so far, which a browser would send as Last-Event-ID."""

    name: str
    data: str
    id: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(slots=True)
class EventParser:
    """Turns the text of an event stream into events."""

    id: str = ""
    retry: int | None = None
    comments: int = 0
    _text: str = ""
    _name: str = ""
    _data: list[str] = field(default_factory=list[str])

    def feed(self, text: str) -> Iterator[Event]:
        """Yield the events that end in the text."""
        self._text += text
        # A CR at the end may be the first half of CRLF.
        while found := re.search(r"\r\n|\n|\r(?!\Z)", self._text):
            line, self._text = self._text[: found.start()], self._text[found.end() :]
            if line:
                self._take(line.removeprefix("\ufeff"))
            elif event := self._dispatched():
                yield event

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self.id = value
            case "retry" if re.fullmatch(r"[0-9]+", value, re.ASCII):
                self.retry = int(value)
            case _:
                pass

    def _dispatched(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name = [], ""
        return Event(name=name or "message", data="\n".join(data), id=self.id) if data else None


class BrokenError(Exception):
    """A connection that ended in the middle of an answer."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """An answer whose headers have arrived."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    parser: EventParser = field(default_factory=EventParser)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the pieces of the body as they arrive. Raises BrokenError if it does not end as it should."""
        try:
            if "content-length" in self.headers:
                yield await self.reader.readexactly(int(self.headers["content-length"]))
                return
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                yield (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise BrokenError from error

    async def body(self) -> bytes:
        """Return the whole body."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return b"".join([chunk async for chunk in self.chunks()])

    async def json(self) -> Any:
        """Return the whole body, parsed."""
        return json.loads(await self.body())

    async def lines(self) -> list[Any]:
        """Return the values of a body of JSON lines."""
        return [json.loads(line) for line in (await self.body()).splitlines()]

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the events as they arrive."""
        assert self.headers["content-type"] == "text/event-stream"
        # Chunks end between characters here, as the server sends whole events.
        async for chunk in self.chunks():
            for event in self.parser.feed(chunk.decode()):
                yield event

    async def until(self, name: str) -> list[Event]:
        """Return the events up to the first one of the name."""
        events: list[Event] = []
        async with asyncio.timeout(LIMIT_SECONDS):
            async for event in self.events():
                events.append(event)
                if event.name == name:
                    return events
        raise AssertionError(f"the stream ended without {name}: {events}")

    async def rest(self) -> list[Event]:
        """Return the events up to the end."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return [event async for event in self.events()]

    def leave(self) -> None:
        """Close the connection at once."""
        self.writer.transport.abort()


@asynccontextmanager
async def requested(
    address: str,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    receive_bytes: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[Answer]:
    """Send a request on a connection of its own; yield its answer. `receive_bytes`: how much is read ahead."""
    async with connection(address, receive_bytes, tls) as (reader, writer):
        writer.write(head(method, path, {"content-length": str(len(body)), **(headers or {})}) + body)
        yield await answer(reader, writer)


@asynccontextmanager
async def connection(
    address: str, receive_bytes: int | None = None, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect; close the connection at the end."""
    host, _, port = address.rpartition(":")
    limit = 2**26 if receive_bytes is None else receive_bytes
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection(host, int(port), limit=limit, ssl=tls, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    """Return the beginning of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    """Return the next answer of a connection. Raises BrokenError if there is none."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    except (asyncio.IncompleteReadError, OSError) as error:
        raise BrokenError from error
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(status=int(status.split()[1]), headers=headers, reader=reader, writer=writer)
