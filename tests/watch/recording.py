"""A recorder that keeps every message of a watch, and the view that a client would build from them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from configapi.v1.change_pb2 import CHANGE_TYPE_UNSPECIFIED, CHANGE_TYPE_UPDATED
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    ConfigurationEvent,
    WatchConfigurationsRequest,
    WatchConfigurationsResponse,
)
from tests.service import Service
from tests.watch.changing import with_epoch

LIMIT_SECONDS = 30.0

View = dict[str, Configuration]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The messages that a client applies together, up to the one with a resume_token."""

    messages: tuple[WatchConfigurationsResponse, ...]

    @property
    def revision(self) -> int:
        return self.messages[-1].revision

    @property
    def events(self) -> tuple[ConfigurationEvent, ...]:
        return tuple(event for message in self.messages for event in message.events)

    @property
    def synced(self) -> bool:
        return self.messages[-1].synced


@dataclass(slots=True, kw_only=True)
class Recording:
    """Every message of one watch, in order."""

    request: WatchConfigurationsRequest
    messages: list[WatchConfigurationsResponse] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        """The steps that can be applied; messages of incomplete commits or snapshots are left out."""
        return list(_steps(self.messages))

    @property
    def synced(self) -> bool:
        return any(message.synced for message in self.messages)

    @property
    def events(self) -> list[ConfigurationEvent]:
        return [event for message in self.messages for event in message.events]

    @property
    def bookmarks(self) -> list[WatchConfigurationsResponse]:
        return [message for message in self.messages if is_bookmark(message)]

    @property
    def resume_token(self) -> str:
        """The token with which the watch can be resumed; empty if it has none yet."""
        received = (message.resume_token for message in reversed(self.messages) if message.resume_token)
        return next(received, self.request.resume_token)

    @property
    def revision(self) -> int:
        """The revision up to which everything was delivered; -1 if that is not known."""
        if self.resume_token:
            return revision_of(self.resume_token)
        return self.request.history.after_revision if self.request.HasField("history") else -1

    @property
    def beginning(self) -> int:
        """The revision after which its changes begin: that of the request or of the snapshot."""
        match self.request.WhichOneof("start"):
            case "resume_token":
                return revision_of(self.request.resume_token)
            case "history":
                return self.request.history.after_revision
            case "snapshot" | None:
                return self.messages[0].revision if self.messages else 0

    @property
    def epoch(self) -> str:
        return self.messages[-1].epoch

    def view(self) -> View:
        """Return the configurations that a client knows at `revision`, by id, if the watch began with a snapshot or at
        0.
        """
        return replayed({}, self.steps)


def is_bookmark(message: WatchConfigurationsResponse) -> bool:
    """Return whether the message is a bookmark."""
    return bool(message.resume_token) and not message.events and not message.synced


def revision_of(token: str) -> int:
    """Return the revision in a resume token."""
    return int(token.rpartition(":")[2])


def is_existing(event: ConfigurationEvent) -> bool:
    """Return whether the event is part of a snapshot."""
    return event.change == CHANGE_TYPE_UNSPECIFIED


def resumed(recording: Recording) -> WatchConfigurationsRequest:
    """Return a request for a watch like the recorded one, from its end on."""
    request = WatchConfigurationsRequest()
    request.CopyFrom(recording.request)
    request.resume_token = recording.resume_token
    return request


def replayed(view: View, steps: Sequence[Step]) -> View:
    """Return the view after the steps. Like a client, fail if events do not fit the view."""
    view = dict(view)
    for step in steps:
        for event in step.events:
            _apply(view, event)
    return view


def _apply(view: View, event: ConfigurationEvent) -> None:
    configuration = event.configuration
    known = configuration.id in view
    if event.effect == EFFECT_REMOVE:
        assert known, f"{configuration.id} is removed and was not known"
        del view[configuration.id]
    else:
        assert event.effect == EFFECT_SET
        assert not known or event.change == CHANGE_TYPE_UPDATED, f"it is known already: {event}"
        view[configuration.id] = configuration


def _steps(messages: Sequence[WatchConfigurationsResponse]) -> Iterator[Step]:
    together: list[WatchConfigurationsResponse] = []
    for message in messages:
        if message.HasField("opened"):
            continue
        together.append(message)
        if message.resume_token:
            yield Step(messages=tuple(together))
            together = []


async def at_once() -> None:
    """Read as fast as possible."""


class Recorder:
    """A task that reads a watch into a recording. The pace is awaited after each message but the first."""

    def __init__(
        self,
        service: Service,
        request: WatchConfigurationsRequest,
        pace: Callable[[], Awaitable[object]] = at_once,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.recording = Recording(request=request)
        self.error: grpc.aio.AioRpcError | None = None
        self._pace = pace
        self._heard = asyncio.Condition()
        self._call = service.configurations.WatchConfigurations(request, metadata=tuple(metadata))
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for message in self._call:
                self.recording.messages.append(message)
                await self._tell()
                if not message.HasField("opened"):
                    await self._pace()
        except grpc.aio.AioRpcError as error:
            self.error = error
        await self._tell()

    async def _tell(self) -> None:
        async with self._heard:
            self._heard.notify_all()

    @property
    def open(self) -> bool:
        """True while the stream is open."""
        return not self._reading.done()

    async def until(self, condition: Callable[[Recording], bool]) -> Recording:
        """Wait until the condition holds. Fail if the watch ends before, or after a limit."""

        def decided() -> bool:
            return self._ended() or condition(self.recording)

        try:
            async with asyncio.timeout(LIMIT_SECONDS), self._heard:
                await self._heard.wait_for(decided)
        except TimeoutError:
            raise AssertionError(f"not so within {LIMIT_SECONDS} s: {summary(self.recording)}") from None
        assert condition(self.recording), f"the watch ended with {self.error!r}: {summary(self.recording)}"
        return self.recording

    def _ended(self) -> bool:
        return self.error is not None or self._reading.done()

    async def until_synced(self) -> Recording:
        return await self.until(lambda recording: recording.synced)

    async def until_revision(self, revision: int) -> Recording:
        """Wait until everything up to the revision was delivered."""
        return await self.until(lambda recording: recording.revision >= revision and recording.synced)

    async def wait_end(self) -> None:
        """Wait until the watch has ended; there is no limit."""
        await asyncio.wait([self._reading])

    async def until_error(self) -> grpc.aio.AioRpcError:
        """Return the error that ends the watch."""
        async with asyncio.timeout(LIMIT_SECONDS), self._heard:
            await self._heard.wait_for(self._ended)
        assert self.error is not None, "the watch ended with OK"
        return self.error

    async def close(self) -> Recording:
        """End the watch as a client that goes away; keep the messages received so far."""
        self._call.cancel()
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.result()
        return self.recording


def summary(recording: Recording) -> str:
    """Summarize a recording in a few lines, for the report of a failure."""
    shown = [
        f"{message.revision}: {len(message.events)} events{' synced' * message.synced}{' more' * message.more}"
        f"{' token' * bool(message.resume_token)}{' opened' * message.HasField('opened')}"
        for message in recording.messages[-20:]
    ]
    return f"{len(recording.messages)} messages, the last of them: {'; '.join(shown)}"


@asynccontextmanager
async def recorded(service: Service, request: WatchConfigurationsRequest | None = None) -> AsyncGenerator[Recorder]:
    """Record a watch; without a request, a watch of everything."""
    recorder = Recorder(service, await with_epoch(service, request or WatchConfigurationsRequest()))
    try:
        yield recorder
    finally:
        await recorder.close()


class SlowReader:
    """A reader of a watch that reads one message when it is told to."""

    def __init__(self, service: Service, request: WatchConfigurationsRequest) -> None:
        self.recording = Recording(request=request)
        self.call = service.configurations.WatchConfigurations(request)

    async def next(self) -> WatchConfigurationsResponse:
        """Return the next message. Fail if the watch has ended."""
        message = await self.call.read()
        assert isinstance(message, WatchConfigurationsResponse), "the watch ended"
        self.recording.messages.append(message)
        return message


@asynccontextmanager
async def slowly(service: Service, request: WatchConfigurationsRequest | None = None) -> AsyncGenerator[SlowReader]:
    """Open a watch that is read only as fast as the test reads it."""
    reader = SlowReader(service, await with_epoch(service, request or WatchConfigurationsRequest()))
    try:
        yield reader
    finally:
        reader.call.cancel()
