"""Server reflection, v1 and v1alpha, for tools such as grpcurl."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2

import configapi
from configsvc.api.exchanges import Handler
from configsvc.api.library_services import LibraryStreams

V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
REFLECTION_METHOD = "ServerReflectionInfo"


class Symbols:
    """The descriptor pool, which also finds methods: protobuf's own does not, and the protocol names them."""

    def __init__(self, pool: descriptor_pool.DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # protobuf's name
        """Return the file that declares a symbol. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            return self._pool.FindServiceByName(service).methods_by_name[method].containing_service.file


def reflection_handlers(service_names: Iterable[str], streams: LibraryStreams) -> Mapping[str, Handler]:
    """Return the handlers of reflection for the named services, by the names of its own services."""
    _describe_v1()
    names = (*service_names, V1, V1ALPHA)

    async def answers(requests: AsyncIterable[Any]) -> AsyncGenerator[Any]:
        # In a thread, as it loads grpcio unless that is there already.
        servicer = await asyncio.to_thread(_servicer, names)
        async for answer in servicer.ServerReflectionInfo(requests, None):
            files = answer.file_descriptor_response.file_descriptor_proto
            # Not for other answers: it would set the field.
            if files:
                files[:] = [_with_comments().get(data, data) for data in files]
            yield answer

    # The package has v1alpha only; v1 has the same messages on the wire.
    handler = streams.exchange_handler(answers, reflection_pb2.ServerReflectionRequest)
    return {V1: handler, V1ALPHA: handler}


@cache
def _servicer(names: tuple[str, ...]) -> Any:
    from grpc_reflection.v1alpha import reflection  # noqa: PLC0415

    # The package has no type hints.
    untyped: Any = reflection
    return untyped.aio.ReflectionServicer(names, pool=Symbols(descriptor_pool.Default()))


@cache
def _with_comments() -> dict[bytes, bytes]:
    """Return the descriptors of our files with comments, by those without, which protobuf keeps."""
    (folder,) = configapi.__path__
    described = descriptor_pb2.FileDescriptorSet.FromString(Path(folder, "descriptors.binpb").read_bytes())
    found: dict[bytes, bytes] = {}
    for file in described.file:
        if file.package.startswith(configapi.__name__):
            plain = descriptor_pb2.FileDescriptorProto()
            descriptor_pool.Default().FindFileByName(file.name).CopyToProto(plain)
            without = plain.SerializeToString()
            # Only these: protoc's descriptors have names for JSON, too, and grpcurl would print fields in camel case.
            plain.source_code_info.CopyFrom(file.source_code_info)
            found[without] = plain.SerializeToString()
    return found


@cache
def _describe_v1() -> None:
    """Register the descriptor of v1: that of v1alpha under the other name."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    renamed = text_format.MessageToString(file).replace(".v1alpha", ".v1").replace("/v1alpha/", "/v1/")
    descriptor_pool.Default().Add(text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto()))
