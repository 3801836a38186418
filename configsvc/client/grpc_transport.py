"""Watches over gRPC. Imported when a client starts, as nothing else needs grpc."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
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
from configsvc.client.engine import DOMAIN, MOST_BYTES, End, Event, Message
from configsvc.client.settings import Settings, Tls
from configsvc.client.streams import Stream
from configsvc.client.view import Configuration

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
    ("grpc.max_receive_message_length", MOST_BYTES),
)
_DETAILS = "grpc-status-details-bin"


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
    async def stream(self, resume_token: str, bearer: str) -> AsyncGenerator[Stream]:
        """Open a stream that resumes from the token; empty: that begins with a snapshot."""
        request = WatchConfigurationsRequest()
        request.CopyFrom(self._request)
        if resume_token:
            request.resume_token = resume_token
        metadata = (("authorization", f"Bearer {bearer}"),) if bearer else ()
        with self._channel() as channel:
            call = ConfigurationServiceStub(channel).WatchConfigurations(request, metadata=metadata)
            # The end of a cancelled call comes from the library itself, at once.
            stream = Stream(_messages_of(call), interrupt=call.cancel)
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


def _messages_of(call: Any) -> Generator[Message | End]:
    try:
        for answer in call:
            yield _message_of(answer)
    except grpc.RpcError as error:
        yield _end_of(error)


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
    return info.reason if info.domain == DOMAIN else "", retry.retry_delay.ToMilliseconds() / 1000
