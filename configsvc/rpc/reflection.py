"""Server reflection, v1 and v1alpha, for tools such as grpcurl."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection, reflection_pb2

from configsvc.rpc.library_services import LibraryStreams

V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"

# The package has no type hints.
_untyped: Any = reflection


def add_reflection(grpc_server: grpc.aio.Server, service_names: Iterable[str], streams: LibraryStreams) -> None:
    """Register reflection for the named services."""
    _describe_v1()
    servicer = _untyped.aio.ReflectionServicer((*service_names, V1, V1ALPHA))
    # The package has v1alpha only; v1 has the same messages on the wire.
    handler = streams.exchange_handler(servicer.ServerReflectionInfo, reflection_pb2.ServerReflectionRequest)
    for service in (V1, V1ALPHA):
        handlers = grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": handler})
        grpc_server.add_generic_rpc_handlers((handlers,))


@cache
def _describe_v1() -> None:
    """Register the descriptor of v1: that of v1alpha under the other name."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    renamed = text_format.MessageToString(file).replace(".v1alpha", ".v1").replace("/v1alpha/", "/v1/")
    descriptor_pool.Default().Add(text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto()))
