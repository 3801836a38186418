"""Clients that resume each watch with its last token, through every loss, and record all that they get."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc

from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.robustness.traffic import APPLICATIONS, NAMES
from tests.service import Service, connected, reason_if_any
from tests.watch.changing import OFTEN, selector, watching, with_epoch
from tests.watch.recording import Recorder, Recording, at_once, resumed, summary
from tests.web.event_streams import BrokenError
from tests.web.watching import record_events, with_http_epoch

PAUSE_SECONDS = (0.05, 0.2)
SLOW_SECONDS = 0.01
LIMIT_SECONDS = 40.0

Pace = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The status that ended a stream; the reason is empty if gRPC gave the status."""

    code: grpc.StatusCode
    reason: str


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream, from its request to its end; None while it is open."""

    recording: Recording
    end: End | None = None


@dataclass(slots=True, kw_only=True)
class Life:
    """The streams of a client between two new beginnings, each resumed from the end of the one before."""

    streams: list[Stream] = field(default_factory=list)

    @property
    def joined(self) -> Recording:
        """All messages that can be applied, as if they were one stream."""
        first = self.streams[0].recording
        messages = [
            message
            for stream in self.streams
            for step in stream.recording.steps
            for message in step.messages
            if stream.recording is first or not message.synced
        ]
        return Recording(request=first.request, messages=first.messages[:1] + messages)


async def slowly() -> None:
    """Wait a little after each message, as a slow client does."""
    await asyncio.sleep(SLOW_SECONDS)


class Client:
    """A client of several addresses that resumes after an error and begins anew after OUT_OF_RANGE."""

    def __init__(
        self, addresses: Sequence[str], request: WatchConfigurationsRequest, *, pace: Pace = at_once, first: int = 0
    ) -> None:
        self._addresses = addresses
        self._request = request
        self._pace = pace
        self._turn = first
        self.lives: list[Life] = []

    @property
    def address(self) -> str:
        """The address of the present watch."""
        return self._addresses[self._turn % len(self._addresses)]

    @property
    def current(self) -> Recording | None:
        """The stream that is read, or was last."""
        return self.lives[-1].streams[-1].recording if self.lives and self.lives[-1].streams else None

    @property
    def revision(self) -> int:
        """The revision up to which everything was delivered; -1 for nothing yet."""
        return self.current.revision if self.current else -1

    @property
    def synced(self) -> bool:
        """True if the present stream has caught up."""
        return self.current is not None and self.current.synced

    @property
    def bookmarks(self) -> int:
        """The number of bookmarks."""
        return sum(len(stream.recording.bookmarks) for life in self.lives for stream in life.streams)

    @property
    def ends(self) -> list[End]:
        """The ends of its streams."""
        return [stream.end for life in self.lives for stream in life.streams if stream.end]

    async def until(self, condition: Callable[["Client"], bool]) -> None:
        """Wait until the condition holds."""
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while not condition(self):  # noqa: ASYNC110  # simpler than a condition over several streams
                    await asyncio.sleep(0.01)
        except TimeoutError:
            shown = summary(self.current) if self.current else "nothing"
            raise AssertionError(f"not so within {LIMIT_SECONDS} s, after {self.ends[-3:]}: {shown}") from None

    async def until_revision(self, revision: int) -> None:
        """Wait until everything up to the revision was delivered."""
        await self.until(lambda client: client.synced and client.revision >= revision)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with AsyncExitStack() as channels:
            # Its own channels: a client that does not read blocks everything else on its connection.
            services = [
                await channels.enter_async_context(connected(address, asyncio.Event())) for address in self._addresses
            ]
            while True:
                await self._read(services[self._turn % len(services)])
                self._turn += 1
                await asyncio.sleep(random.uniform(*PAUSE_SECONDS))

    async def _read(self, service: Service) -> None:
        recorder = Recorder(service, await self._next_request(service), self._pace)
        stream = Stream(recording=recorder.recording)
        self.lives[-1].streams.append(stream)
        try:
            await recorder.wait_end()
        finally:
            await recorder.close()
        stream.end = End(code=grpc.StatusCode.OK, reason="")
        if recorder.error:
            stream.end = End(code=recorder.error.code(), reason=reason_if_any(recorder.error))

    async def _next_request(self, service: Service) -> WatchConfigurationsRequest:
        if not self.lives:
            await with_epoch(service, self._request)
        return self._following_request()

    def _following_request(self) -> WatchConfigurationsRequest:
        if not self.lives:
            return self._begin(self._request)
        last = self.lives[-1].streams[-1]
        assert last.end
        if last.end.code != grpc.StatusCode.OUT_OF_RANGE and last.recording.resume_token:
            return resumed(last.recording)
        request = WatchConfigurationsRequest()
        request.CopyFrom(self._request)
        request.ClearField("start")
        return self._begin(request)

    def _begin(self, request: WatchConfigurationsRequest) -> WatchConfigurationsRequest:
        self.lives.append(Life())
        return request


class EventClient(Client):
    """A client over server-sent events, which resumes with Last-Event-ID."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._follow(self.address)
            self._turn += 1
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))

    async def _follow(self, address: str) -> None:
        try:
            if not self.lives:
                await with_http_epoch(address, self._request)
        except (BrokenError, OSError):
            return
        stream = Stream(recording=Recording(request=self._following_request()))
        self.lives[-1].streams.append(stream)
        code, reason = await record_events(address, stream.recording, self._pace)
        stream.end = End(code=code, reason=reason)


def watch_of(*selectors: ConfigurationSelector, after_revision: int | None = None) -> WatchConfigurationsRequest:
    """Return a request for a watch with frequent bookmarks."""
    request = watching(*selectors, after_revision=after_revision)
    request.progress_interval.CopyFrom(OFTEN)
    return request


def clients_of_every_kind(addresses: Sequence[str]) -> list[Client]:
    """Return clients of the traffic, spread over the addresses."""
    of_keys = [selector(APPLICATIONS[2], keys=NAMES[::2]), selector(APPLICATIONS[0], prefix="db")]
    without_config = watch_of()
    without_config.view = CONFIGURATION_VIEW_BASIC
    requests = [watch_of(), watch_of(after_revision=0), watch_of(selector("bank")), watch_of(*of_keys), without_config]
    clients = [Client(addresses, request, first=number) for number, request in enumerate(requests)]
    return [*clients, Client(addresses, watch_of(after_revision=0), pace=slowly, first=len(clients))]


def event_clients(addresses: Sequence[str]) -> list[Client]:
    """Return clients over HTTP of the traffic, spread over the addresses."""
    of_keys = [selector(APPLICATIONS[2], keys=NAMES[::2]), selector(APPLICATIONS[0], prefix="db")]
    without_config = watch_of()
    without_config.view = CONFIGURATION_VIEW_BASIC
    requests = [watch_of(), watch_of(after_revision=0), watch_of(*of_keys), without_config]
    clients: list[Client] = [EventClient(addresses, request, first=index) for index, request in enumerate(requests)]
    return [*clients, EventClient(addresses, watch_of(after_revision=0), pace=slowly, first=len(clients))]
