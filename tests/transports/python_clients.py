"""The cases of clients/ with the libraries for Python: grpcio with asyncio, grpcio with threads, and grpclib."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import Operation, WaitOperationRequest
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpclib.client import Channel, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.encoding.proto import ProtoStatusDetailsCodec
from grpclib.exceptions import GRPCError

from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchGetConfigurationsResponse,
    BatchWriteConfigurationsRequest,
    BatchWriteConfigurationsResponse,
    ConfigurationItem,
    ConfigurationWrite,
    CreateConfigurationRequest,
    CreateConfigurationResponse,
    ExportConfigurationsRequest,
    ExportConfigurationsResponse,
    GetConfigurationRequest,
    GetConfigurationResponse,
    ImportConfigurationsRequest,
    WatchConfigurationsRequest,
    WatchConfigurationsResponse,
)
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.api.calls import SHOP, key, key_ref
from tests.operations.operating import PER_ITEM
from tests.transports import paths

WAIT = "/google.longrunning.Operations/WaitOperation"
BATCH_GET = "/configapi.v1.ConfigurationService/BatchGetConfigurations"
BATCH_WRITE = "/configapi.v1.ConfigurationService/BatchWriteConfigurations"
ANSWERS: dict[str, type[Message]] = {
    paths.CREATE: CreateConfigurationResponse,
    paths.GET: GetConfigurationResponse,
    paths.WATCH: WatchConfigurationsResponse,
    paths.EXPORT: ExportConfigurationsResponse,
    paths.IMPORT: Operation,
    WAIT: Operation,
    BATCH_GET: BatchGetConfigurationsResponse,
    BATCH_WRITE: BatchWriteConfigurationsResponse,
}
Metadata = tuple[tuple[str, str | bytes], ...]
LARGE = json.dumps({"text": "x" * 250_000})


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files for TLS, in PEM."""

    authorities: Path
    certificate: Path
    key: Path


class CallError(Exception):
    """The end of a call with an error: its code, and the reason of the service."""

    def __init__(self, code: str, details: Iterable[Any]) -> None:
        reasons = [_reason_of(detail) for detail in details]
        super().__init__(" ".join((code, *filter(None, reasons))))


def _reason_of(detail: Any) -> str:
    """Return the reason of a detail, which grpclib has unpacked."""
    info = ErrorInfo()
    if isinstance(detail, ErrorInfo):
        return detail.reason
    return info.reason if isinstance(detail, any_pb2.Any) and detail.Unpack(info) else ""


def _error_of(error: Any) -> CallError:
    details: Any = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return CallError(error.code().name, Status.FromString(details).details)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _parser(path: str) -> Callable[[bytes], Message]:
    return ANSWERS[path].FromString


def _credentials(files: Files) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        files.authorities.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )


OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
LIMIT_SECONDS = 30.0


class AioClient:
    """grpcio with asyncio."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def unary(self, path: str, request: Message, *, metadata: Metadata = (), zipped: bool = False) -> Any:
        call = self._channel.unary_unary(path, _serialized, _parser(path))
        compression = grpc.Compression.Gzip if zipped else None
        try:
            return await call(request, metadata=metadata, compression=compression, timeout=LIMIT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _error_of(error) from error

    async def stream(self, path: str, request: Message, *, seconds: float = LIMIT_SECONDS) -> AsyncGenerator[Any]:
        call = self._channel.unary_stream(path, _serialized, _parser(path))(request, timeout=seconds)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise _error_of(error) from error
        finally:
            call.cancel()

    async def upload(self, path: str, requests: Iterable[Message]) -> Any:
        call = self._channel.stream_unary(path, _serialized, _parser(path))
        return await call(iter(requests), timeout=LIMIT_SECONDS)

    async def close(self) -> None:
        await self._channel.close()


def _aio_client(address: str, files: Files | None) -> AioClient:
    if files:
        return AioClient(grpc.aio.secure_channel(address, _credentials(files), OPTIONS))
    return AioClient(grpc.aio.insecure_channel(address, OPTIONS))


class SyncClient:
    """grpcio with threads."""

    def __init__(self, address: str, files: Files | None) -> None:
        self._channel = (
            grpc.secure_channel(address, _credentials(files), OPTIONS)
            if files
            else grpc.insecure_channel(address, OPTIONS)
        )

    async def unary(self, path: str, request: Message, *, metadata: Metadata = (), zipped: bool = False) -> Any:
        call: Any = self._channel.unary_unary(path, _serialized, _parser(path))
        compression = grpc.Compression.Gzip if zipped else None
        arguments: dict[str, Any] = {"metadata": metadata, "compression": compression, "timeout": LIMIT_SECONDS}
        try:
            return await asyncio.to_thread(call, request, **arguments)
        except grpc.RpcError as error:
            raise _error_of(error) from error

    async def stream(self, path: str, request: Message, *, seconds: float = LIMIT_SECONDS) -> AsyncGenerator[Any]:
        begin = self._channel.unary_stream(path, _serialized, _parser(path))
        call: Any = begin(request, timeout=seconds)
        try:
            while (message := await asyncio.to_thread(next, call, None)) is not None:
                yield message
        except grpc.RpcError as error:
            raise _error_of(error) from error
        finally:
            call.cancel()

    async def upload(self, path: str, requests: Iterable[Message]) -> Any:
        call: Any = self._channel.stream_unary(path, _serialized, _parser(path))
        return await asyncio.to_thread(call, iter(requests), timeout=LIMIT_SECONDS)

    async def close(self) -> None:
        await asyncio.to_thread(self._channel.close)


class GrpclibClient:
    """grpclib, which tells frames that HTTP/2 forbids, and never compresses."""

    def __init__(self, address: str, files: Files | None) -> None:
        host, _, port = address.rpartition(":")
        self._channel = Channel(host, int(port), ssl=_context(files) if files else None, status_details_codec=CODEC)

    def _method(self, kind: Any, path: str) -> Any:
        return kind(self._channel, path, Message, ANSWERS[path])

    async def unary(self, path: str, request: Message, *, metadata: Metadata = (), zipped: bool = False) -> Any:
        try:
            return await self._method(UnaryUnaryMethod, path)(request, metadata=metadata, timeout=LIMIT_SECONDS)
        except GRPCError as error:
            raise CallError(error.status.name, error.details or ()) from error

    async def stream(self, path: str, request: Message, *, seconds: float = LIMIT_SECONDS) -> AsyncGenerator[Any]:
        try:
            async with self._method(UnaryStreamMethod, path).open(timeout=seconds) as stream:
                await stream.send_message(request, end=True)
                async for message in stream:
                    yield message
        except GRPCError as error:
            raise CallError(error.status.name, error.details or ()) from error
        except TimeoutError as error:
            raise CallError("DEADLINE_EXCEEDED", ()) from error

    async def upload(self, path: str, requests: Iterable[Message]) -> Any:
        return await self._method(StreamUnaryMethod, path)(list(requests), timeout=LIMIT_SECONDS)

    async def close(self) -> None:
        self._channel.close()


CODEC = ProtoStatusDetailsCodec()


def _context(files: Files) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.authorities))
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    return context


Client = AioClient | SyncClient | GrpclibClient
CLIENTS: dict[str, Callable[[str, Files | None], Client]] = {
    "grpcio-aio": _aio_client,
    "grpcio-sync": SyncClient,
    "grpclib": GrpclibClient,
}


class Cases:
    """The cases that the programs in clients/ make too."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def _name(self, text: str) -> str:
        return f"{self._prefix}/{text}"

    def _item(self, text: str, content: str) -> ConfigurationItem:
        return ConfigurationItem(application=SHOP, name=self._name(text), config_json=content)

    async def _create(self, text: str, content: str, **call: Any) -> int:
        request = CreateConfigurationRequest(application=SHOP, name=self._name(text), config_json=content)
        return (await self._client.unary(paths.CREATE, request, **call)).configuration.version

    async def _get(self, text: str, **call: Any) -> Any:
        request = GetConfigurationRequest(key=key(self._name(text)), format=CONTENT_FORMAT_JSON)
        return (await self._client.unary(paths.GET, request, **call)).configuration

    def _watch(self, text: str, **call: Any) -> AsyncGenerator[Any]:
        selector = ConfigurationSelector(application=SHOP, names=[self._name(text)])
        request = WatchConfigurationsRequest(selectors=[selector], format=CONTENT_FORMAT_JSON)
        return self._client.stream(paths.WATCH, request, **call)

    async def unary(self) -> str:
        await self._create("unary", '{"text":"ä"}')
        found = await self._get("unary")
        return f"{found.version} {json.loads(found.config_json)['text']}"

    async def error(self) -> str:
        with pytest.raises(CallError) as caught:
            await self._get("missing")
        return str(caught.value)

    async def watch(self) -> str:
        messages = self._watch("watched")
        async for message in messages:
            if message.synced:
                await self._create("watched", '{"a":1}')
            for event in message.events:
                # Cancels the call.
                await messages.aclose()
                found = event.configuration
                return f"{found.name == self._name('watched')} {found.config_json} CANCELLED".replace("True", "true")
        raise AssertionError

    async def deadline(self) -> str:
        with pytest.raises(CallError) as caught:
            async for _ in self._watch("nothing", seconds=0.3):
                pass
        return str(caught.value)

    async def upload(self) -> str:
        requests = [ImportConfigurationsRequest(items=[self._item(f"up{at}", "{}")]) for at in range(3)]
        requests[0].mode = PER_ITEM
        operation = await self._client.upload(paths.IMPORT, requests)
        wait = WaitOperationRequest(name=operation.name, timeout=Duration(seconds=20))
        return str((await self._client.unary(WAIT, wait)).done).lower()

    async def gzip(self) -> str:
        await self._create("zipped", json.dumps({"text": "x" * 100_000}), zipped=True)
        found = await self._get("zipped", zipped=True)
        return str(len(json.loads(found.config_json)["text"]))

    async def large(self) -> str:
        items = [self._item(f"large{at}", LARGE) for at in range(8)]
        writes = [ConfigurationWrite(create=item) for item in items]
        await self._client.unary(BATCH_WRITE, BatchWriteConfigurationsRequest(writes=writes))
        refs = [key_ref(item.name) for item in items]
        request = BatchGetConfigurationsRequest(refs=refs, format=CONTENT_FORMAT_JSON)
        results = (await self._client.unary(BATCH_GET, request)).results
        return str(sum(len(one.configuration.config_json) for one in results) > 2_000_000).lower()

    async def export(self) -> str:
        selector = ConfigurationSelector(application=SHOP, name_prefix=self._name("large"))
        request = ExportConfigurationsRequest(selector=selector, format=CONTENT_FORMAT_JSON)
        return str(sum([len(message.items) async for message in self._client.stream(paths.EXPORT, request)]))

    async def metadata(self) -> str:
        sent = (("x-change-request", f"CR of {self._prefix}"), ("x-trace-bin", bytes(range(256))))
        return str(await self._create("metadata", "{}", metadata=sent))

    async def many(self) -> str:
        return str(len(await asyncio.gather(*(self._get("unary") for _ in range(200)))))


async def outcomes(client: Client, prefix: str) -> dict[str, str]:
    """Make all cases with a client, and close it; return what came of each."""
    try:
        cases = Cases(client, prefix)
        names = [name for name in vars(Cases) if not name.startswith("_")]
        return comparable({name: await getattr(cases, name)() for name in names})
    finally:
        await client.close()


EXPECTED = {
    "unary": "1 ä",
    "error": "NOT_FOUND RESOURCE_NOT_FOUND",
    "watch": 'true {"a":1} CANCELLED',
    "deadline": "DEADLINE_EXCEEDED",
    "upload": "true",
    "gzip": "100000",
    "large": "true",
    "export": "8",
    "metadata": "1",
    "many": "200",
}


def comparable(found: dict[str, str]) -> dict[str, str]:
    """Return outcomes without what may differ: who is first to notice a deadline, and the blanks of JSON."""
    deadline, watch = found["deadline"].partition(" ")[0], found["watch"].replace(": ", ":")
    return {**found, "deadline": deadline, "watch": watch}
