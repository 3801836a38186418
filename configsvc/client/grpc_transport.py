"""Watches over gRPC. Imported when a client starts, as nothing else needs grpc."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    ConfigurationEvent,
    WatchConfigurationsRequest,
    WatchConfigurationsResponse,
    WatchInstance,
)
from configapi.v1.configuration_service_pb2_grpc import ConfigurationServiceStub
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.client.engine import End, Event, Message
from configsvc.client.settings import Settings, Tls
from configsvc.client.view import Configuration

_READ_AHEAD = 4
# The end of a cancelled call comes from the library itself, at once.
_CLOSE_SECONDS = 5.0
_OPTIONS = (
    # The service refuses pings closer than 10 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65_536),
    # Each attempt gets a connection of its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
_DETAILS = "grpc-status-details-bin"
_DOMAIN = "configsvc"


class GrpcStream:
    """One stream, read by a thread.

    Not by grpc.aio, which disturbs the loops of a process if there are several, as there are in programs with a
    blocking client. The thread also spares the program's loop the parsing of a large snapshot.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Message | End] = asyncio.Queue()
        # How many messages the thread may read ahead of the loop.
        self._room = threading.Semaphore(_READ_AHEAD)
        self._is_over = False
        self._thread = threading.Thread(target=self._read_all, daemon=True, name="configsvc-stream")
        self._thread.start()

    async def read(self) -> Message | End:
        """Return the next message, or the end of the stream."""
        message = await self._arrived.get()
        self._room.release()
        self._is_over = isinstance(message, End)
        return message

    async def close(self) -> None:
        """End the stream and its thread."""
        self._call.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while not self._is_over:
                    await self.read()
                self._thread.join()

    def _read_all(self) -> None:
        end = End(text="the service ended the watch")
        try:
            for answer in self._call:
                self._hand_over(_message_of(answer))
        except grpc.RpcError as error:
            end = _end_of(error)
        except Exception as error:  # noqa: BLE001  # nobody awaits a thread: the feed has to hear of it
            end = End(text=f"a message cannot be read: {error!r}")
        self._hand_over(end)

    def _hand_over(self, message: Message | End) -> None:
        self._room.acquire()
        # Not if the loop is closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, message)


class GrpcTransport:
    """Opens the streams of one client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        instance = settings.instance
        self._request = WatchConfigurationsRequest(
            selectors=[
                ConfigurationSelector(
                    application=ApplicationRef(name=settings.application),
                    names=settings.names,
                    name_prefix=settings.prefix,
                )
            ],
            progress_interval=_duration(settings.bookmark_seconds),
            format=CONTENT_FORMAT_JSON,
            instance=WatchInstance(
                id=instance.id, labels=instance.labels, program=instance.program, version=instance.version
            ),
        )

    @asynccontextmanager
    async def stream(self, resume_token: str, bearer: str) -> AsyncGenerator[GrpcStream]:
        """Open a stream that resumes from the token; empty: that begins with a snapshot."""
        request = WatchConfigurationsRequest()
        request.CopyFrom(self._request)
        if resume_token:
            request.resume_token = resume_token
        metadata = (("authorization", f"Bearer {bearer}"),) if bearer else ()
        with self._channel() as channel:
            stream = GrpcStream(ConfigurationServiceStub(channel).WatchConfigurations(request, metadata=metadata))
            try:
                yield stream
            finally:
                await stream.close()

    def _channel(self) -> grpc.Channel:
        options = [*_OPTIONS, ("grpc.enable_http_proxy", int(not self._settings.is_local))]
        if not self._settings.tls:
            return grpc.insecure_channel(self._settings.address, options)
        tls = self._settings.tls if isinstance(self._settings.tls, Tls) else Tls()
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_bytes_of(tls.authority),
            private_key=_bytes_of(tls.key),
            certificate_chain=_bytes_of(tls.certificate),
        )
        return grpc.secure_channel(self._settings.address, credentials, options)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(1000 * seconds))
    return duration


def _bytes_of(file: Path | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


def _message_of(answer: WatchConfigurationsResponse) -> Message:
    return Message(
        token=answer.resume_token,
        revision=answer.revision,
        epoch=answer.epoch,
        events=tuple(_event_of(event) for event in answer.events if event.effect in {EFFECT_SET, EFFECT_REMOVE}),
        synced=answer.synced,
        interval_seconds=answer.opened.progress_interval.ToMilliseconds() / 1000,
    )


def _event_of(event: ConfigurationEvent) -> Event:
    found = event.configuration
    configuration = Configuration(
        id=found.id,
        name=found.name,
        version=found.version,
        revision=found.revision,
        text=found.config_json,
        schema=found.schema.schema,
        schema_version=found.schema.version,
        updated_by=found.updated_by,
    )
    removes = event.effect == EFFECT_REMOVE
    return Event(removes=removes, configuration=configuration, actor=event.origin.actor, reason=event.origin.reason)


def _end_of(error: Any) -> End:
    trailers: Mapping[str, Any] = dict(error.trailing_metadata() or ())
    reason, retry_seconds = _details_of(trailers.get(_DETAILS, b""))
    code, text = error.code().name, error.details() or ""
    return End(code=code, reason=reason, text=f"{reason or code}: {text}", retry_seconds=retry_seconds)


def _details_of(status: bytes) -> tuple[str, float]:
    """Return the reason and the delay of an error of the service; none if the details are of somebody else."""
    info, retry = ErrorInfo(), RetryInfo()
    try:
        for detail in Status.FromString(status).details:
            _ = detail.Unpack(info) or detail.Unpack(retry)
    except DecodeError:
        return "", 0.0
    return info.reason if info.domain == _DOMAIN else "", retry.retry_delay.ToMilliseconds() / 1000
