"""The programs of the guide and the README and the client library, each with its view, in every fault."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Any

import grpc

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.client import Change, ConfigClient
from configsvc.client.http_transport import Found, HttpTransport
from configsvc.client.mailbox import Mailbox
from tests.docs.follower import View, follow_of, program, short_program
from tests.robustness.clients import watch_of
from tests.robustness.traffic import APPLICATIONS
from tests.watch.changing import selector
from tests.web.event_streams import Answer, BrokenError
from tests.web.watching import opened

if TYPE_CHECKING:
    from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceAsyncStub

LIMIT_SECONDS = 40.0
# Three bookmarks, as in the program, of a shorter interval.
LOST_SECONDS = 3.0
MOST_PAUSE_SECONDS = 0.2
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE.value[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a follower had at one time: its token, and the version of each configuration, by id."""

    token: str
    revision: int
    versions: dict[str, int]


class Follower:
    """Runs the program with a request, and records its view at each token."""

    def __init__(self, addresses: Sequence[str], request: WatchConfigurationsRequest) -> None:
        # Several addresses are one name, as they are behind a load balancer: gRPC takes the first that it reaches.
        self._target = addresses[0] if len(addresses) == 1 else f"ipv4:{','.join(addresses)}"
        self._request = request
        self.sights: list[Sight] = []

    async def run(self) -> None:
        """Follow until cancelled."""
        module = program()
        module.__dict__.update(LOST_SECONDS=LOST_SECONDS, random=_Impatient())
        await follow_of(module)(self._target, self._request, {}, self._see)

    def _see(self, view: View, revision: int) -> None:
        assert all(key == configuration.id for key, configuration in view.items())
        versions = {key: configuration.version for key, configuration in view.items()}
        self.sights.append(Sight(token=self._request.resume_token, revision=revision, versions=versions))

    @property
    def selectors(self) -> Sequence[ConfigurationSelector]:
        """What it follows."""
        return self._request.selectors

    @property
    def revision(self) -> int:
        """The revision that it has reached; -1 before its first token."""
        return self.sights[-1].revision if self.sights else -1

    async def until_revision(self, revision: int) -> None:
        """Wait until it has reached the revision."""
        await self._until(lambda: self.revision >= revision)

    @property
    def set_back(self) -> int | None:
        """The index of the first view at an earlier revision than the one before it; None: there is none."""
        pairs = enumerate(pairwise(sight.revision for sight in self.sights), start=1)
        return next((index for index, (before, after) in pairs if after < before), None)

    async def until_set_back(self) -> None:
        """Wait until it has had its view at an earlier revision."""
        await self._until(lambda: self.set_back is not None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while not condition():  # noqa: ASYNC110  # simpler than a condition in the program
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not so within {LIMIT_SECONDS} s: the program is at {self.revision}") from None


class ShortFollower(Follower):
    """Runs the function of the README instead, which only stores the last token and applies effects."""

    async def run(self) -> None:
        """Follow until cancelled."""
        module = short_program()
        module.__dict__.update(asyncio=_Hasty())
        view: View = {}
        async with grpc.aio.insecure_channel(self._target, module.__dict__["OPTIONS"]) as channel:
            stub = _Recorded(ConfigurationServiceStub(channel), lambda revision: self._see(view, revision))
            await module.__dict__["follow"](stub, self._request, view)


class EventFollower(Follower):
    """Follows server-sent events as a browser does: it stores its view, and the last id."""

    def __init__(self, addresses: Sequence[str], request: WatchConfigurationsRequest) -> None:
        super().__init__(addresses, request)
        self._addresses = addresses
        self._view: dict[str, int] = {}
        # Changes after the last id, which are applied with the next one.
        self._together: list[Mapping[str, Any]] = []
        self._begins_anew = True

    async def run(self) -> None:
        """Follow until cancelled."""
        for address in cycle(self._addresses):
            with suppress(BrokenError, OSError):
                async with asyncio.timeout(None) as silence, opened(address, self._request) as answer:
                    if answer.status != HTTPStatus.OK:
                        self._heed(await answer.json())
                        continue
                    await self._read(answer, silence)
            await asyncio.sleep(MOST_PAUSE_SECONDS)

    async def _read(self, answer: Answer, silence: asyncio.Timeout) -> None:
        self._together = []
        async for event in answer.events():
            silence.reschedule(asyncio.get_running_loop().time() + LOST_SECONDS)
            if event.name == "error":
                self._heed(event.json)
                return
            message = event.json
            self._together += message.get("events", ())
            if event.id and event.id == message.get("resume_token"):
                self._apply(event.id)

    def _apply(self, token: str) -> None:
        view = {} if self._begins_anew else dict(self._view)
        for event in self._together:
            configuration = event["configuration"]
            if event["effect"] == "EFFECT_REMOVE":
                del view[configuration["id"]]
            else:
                view[configuration["id"]] = int(configuration["version"])
        self._view, self._together, self._begins_anew = view, [], False
        self._request.resume_token = token
        self.sights.append(Sight(token=token, revision=int(token.rpartition(":")[2]), versions=view))

    def _heed(self, status: Mapping[str, Any]) -> None:
        if status["code"] == OUT_OF_RANGE:
            self._request.ClearField("start")
            self._begins_anew = True


class PollFollower(EventFollower):
    """Follows by long polling: it stores its view, and the last resume token."""

    async def run(self) -> None:
        """Follow until cancelled."""
        parameters: dict[str, str] = {}
        for address in cycle(self._addresses):
            request = WatchConfigurationsRequest(selectors=self._request.selectors)
            if not parameters and not self._begins_anew:
                parameters = {"resume_token": self._request.resume_token}
            page, parameters = parameters, {}
            with suppress(BrokenError, OSError):
                async with asyncio.timeout(LIMIT_SECONDS), opened(address, request, wait="0.5s", **page) as answer:
                    document = await answer.json()
                    if answer.status == HTTPStatus.OK:
                        parameters = self._take(document)
                        continue
                    self._heed(document)
            # What was begun to be read is read again.
            self._together = []
            await asyncio.sleep(MOST_PAUSE_SECONDS)

    def _take(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Apply what an answer completes; return the parameters that ask for the rest."""
        for message in document["messages"]:
            self._together += message.get("events", ())
            if "resume_token" in message:
                self._apply(message["resume_token"])
        if "next_page_token" in document:
            return {"page_token": document["next_page_token"]}
        self._apply(document["resume_token"])
        return {}


class ClientFollower(Follower):
    """Runs the client library instead, for one application."""

    def __init__(self, addresses: Sequence[str], application: str) -> None:
        super().__init__(addresses, watch_of(selector(application)))
        # It asks for bookmarks at a third of the limit.
        interval = self._request.progress_interval.ToMilliseconds() / 1000
        self._client = ConfigClient(
            self._target_of(addresses),
            application=application,
            stale_after=3 * interval,
            on_stale="keep",
            # The traffic deletes and moves everything now and then, also while a client begins anew.
            accept_empty=True,
            start_timeout=LIMIT_SECONDS,
        )
        self._recorder = _Recorder(self._record)

    def _target_of(self, addresses: Sequence[str]) -> str:
        return self._target

    async def run(self) -> None:
        """Follow until cancelled."""
        self._client._store.attach(self._recorder)
        async with self._client:
            await asyncio.Event().wait()

    def _record(self) -> None:
        view = self._client._store.view
        assert view is not None
        assert {one.name: one for one in view.by_id.values()} == view.by_name
        versions = {key: configuration.version for key, configuration in view.by_id.items()}
        self.sights.append(Sight(token=view.token, revision=view.revision, versions=versions))


class HttpClientFollower(ClientFollower):
    """Runs the client library over HTTP."""

    def _target_of(self, addresses: Sequence[str]) -> str:
        self._found = [found for address in addresses for found in _found(address)]
        # A name that has all of the addresses, as behind a load balancer: one that is allowed without authentication.
        return "http://localhost"

    async def run(self) -> None:
        """Follow until cancelled."""
        transport = HttpTransport(self._client._settings)
        transport._names.look_up = self._look_up
        self._client._following._transport = lambda: transport
        await super().run()

    async def _look_up(self) -> Sequence[Found]:
        return self._found


def _found(address: str) -> Sequence[Found]:
    host, _, port = address.rpartition(":")
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Recorder(Mailbox):
    """A mailbox that tells of each view that readers get."""

    def __init__(self, swapped: Callable[[], None]) -> None:
        super().__init__(None, lambda: None)
        self._swapped = swapped

    def put(self, changes: Iterable[Change]) -> None:
        self._swapped()


class _Recorded:
    """A stub that tells when the program has read on, so that it has done with a message that has a token."""

    def __init__(self, stub: "ConfigurationServiceAsyncStub", seen: Callable[[int], None]) -> None:
        self._stub = stub
        self._seen = seen

    async def WatchConfigurations(  # noqa: N802  # as in the contract
        self, request: WatchConfigurationsRequest
    ) -> AsyncGenerator[WatchConfigurationsResponse]:
        """Yield the messages of the service."""
        async for message in self._stub.WatchConfigurations(request):
            yield message
            if message.resume_token:
                self._seen(message.revision)


class _Hasty:
    """The module asyncio for a program that may not pause for long."""

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(min(seconds, MOST_PAUSE_SECONDS))


class _Impatient:
    """A random number generator for pauses that are short, whatever the program has asked for."""

    def uniform(self, low: float, high: float) -> float:
        """Return a pause."""
        return min(high, MOST_PAUSE_SECONDS)


def event_followers_of(addresses: Sequence[str]) -> list[Follower]:
    """Return followers over HTTP of everything, and of one application: by server-sent events, by long polling and with
    the client library.
    """
    kinds = (EventFollower, PollFollower)
    # Each keeps its token in a request of its own.
    followers = [kind(addresses, watch_of(*selectors)) for kind in kinds for selectors in ((), (selector("bank"),))]
    return [*followers, HttpClientFollower(addresses, "bank")]


def followers_of(addresses: Sequence[str]) -> list[Follower]:
    """Return followers of everything, and of single applications that the traffic changes."""
    bank = watch_of(selector("bank"))
    programs = [Follower(addresses, watch_of()), Follower(addresses, bank), ShortFollower(addresses, watch_of())]
    return [*programs, *(ClientFollower(addresses, name) for name in APPLICATIONS)]
