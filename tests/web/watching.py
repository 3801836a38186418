"""Watches over server-sent events and long polling, recorded as those over gRPC are."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from google.protobuf.json_format import MessageToDict, ParseDict
from grpc import StatusCode

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from tests.watch.recording import Recording, at_once, is_existing
from tests.web.event_streams import Answer, BrokenError, Event, requested

WATCH = "/api/v1/configurations:watch"
LIMIT_SECONDS = 30.0
CODES = {code.value[0]: code for code in StatusCode}

Pace = Callable[[], Awaitable[object]]
End = tuple[StatusCode, str]


def path_of(**parameters: str) -> str:
    """Return the path of a watch with parameters."""
    return f"{WATCH}?{urlencode(parameters)}"


async def with_http_epoch(address: str, request: WatchConfigurationsRequest) -> WatchConfigurationsRequest:
    """Return the request with the present epoch, if it names a revision without one."""
    if request.HasField("history") and not request.history.epoch:
        async with requested(address, "/api/v1/status") as answer:
            request.history.epoch = (await answer.json())["epoch"]
    return request


@asynccontextmanager
async def opened(address: str, request: WatchConfigurationsRequest, **parameters: str) -> AsyncGenerator[Answer]:
    """Ask for a watch; a resumed one says so in the header that browsers send."""
    fields: dict[str, Any] = MessageToDict(request, preserving_proto_field_name=True)
    # A poll says it as it likes.
    token = "" if parameters else fields.pop("resume_token", "")
    headers = {"last-event-id": token} if token else {}
    path = path_of(**parameters) if parameters else WATCH
    if "selectors" in fields or "history" in fields or fields.get("snapshot"):
        body = json.dumps(fields).encode()
        async with requested(address, path, method="POST", headers=headers, body=body) as answer:
            yield answer
    else:
        async with requested(address, path_of(**fields, **parameters), headers=headers) as answer:
            yield answer


def end_of(status: dict[str, Any]) -> End:
    """Return the code and the reason of a google.rpc.Status."""
    reasons = [detail["reason"] for detail in status.get("details", ()) if "reason" in detail]
    return CODES[status["code"]], next(iter(reasons), "")


def message_of(event: Event, last_id: str) -> WatchConfigurationsResponse:
    """Return the message of an event, which must be named and numbered as its data say."""
    message = ParseDict(event.json, WatchConfigurationsResponse())
    assert event.id == (message.resume_token or last_id)
    assert event.name == _name(message)
    return message


def _name(message: WatchConfigurationsResponse) -> str:
    if message.HasField("opened"):
        return "opened"
    if message.synced:
        return "synced"
    if message.events:
        return "snapshot" if is_existing(message.events[0]) else "change"
    return "change" if message.more else "bookmark"


async def record_events(address: str, recording: Recording, pace: Pace = at_once) -> End:
    """Read a watch of server-sent events into the recording; return how it ended."""
    try:
        async with opened(address, recording.request) as answer:
            if answer.status != 200:
                return end_of(await answer.json())
            last_id = ""
            async for event in answer.events():
                if event.name == "error":
                    return end_of(event.json)
                message = message_of(event, last_id)
                last_id = event.id
                recording.messages.append(message)
                if not message.HasField("opened"):
                    await pace()
    except (BrokenError, OSError):
        return StatusCode.UNAVAILABLE, ""
    raise AssertionError("a watch ended without an error")


class EventRecorder:
    """A task that reads a watch of server-sent events into a recording."""

    def __init__(self, address: str, request: WatchConfigurationsRequest) -> None:
        self.recording = Recording(request=request)
        self.reading = asyncio.create_task(record_events(address, self.recording))

    async def until(self, condition: Callable[[Recording], bool]) -> Recording:
        """Wait until the condition holds. Fail if the watch ends before, or after a limit."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition(self.recording):
                assert not self.reading.done(), self.reading
                await asyncio.sleep(0.005)
        return self.recording

    async def until_synced(self) -> Recording:
        return await self.until(lambda recording: recording.synced)

    async def until_revision(self, revision: int) -> Recording:
        """Wait until everything up to the revision was delivered."""
        return await self.until(lambda recording: recording.revision >= revision and recording.synced)

    async def end(self) -> End:
        """Wait until the watch has ended, and return how."""
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self.reading


@asynccontextmanager
async def recorded_events(
    address: str, request: WatchConfigurationsRequest | None = None
) -> AsyncGenerator[EventRecorder]:
    """Record a watch over server-sent events; without a request, a watch of everything."""
    recorder = EventRecorder(address, await with_http_epoch(address, request or WatchConfigurationsRequest()))
    try:
        yield recorder
    finally:
        recorder.reading.cancel()
        await asyncio.wait([recorder.reading])
