"""Every method that a service serves, found by reflection, so that new methods are found too."""

from collections.abc import Generator
from dataclasses import dataclass

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from tests.service import Service

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
# Longer than any call takes that is not meant to wait.
LIMIT_SECONDS = 10.0
# The client library's error when it sends to a call that has just ended: it loses the status.
SENT_TOO_LATE = "Internal error from Core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The end of a call: its status, message and trailers; and the first messages of its answer."""

    code: grpc.StatusCode
    text: str
    messages: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of one service."""

    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def request(self) -> Descriptor:
        return self.descriptor.input_type

    def new_request(self) -> Message:
        return message_factory.GetMessageClass(self.request)()

    def answered(self, data: bytes) -> Message:
        """Return an answer from its bytes."""
        return message_factory.GetMessageClass(self.descriptor.output_type).FromString(data)


async def served_methods(service: Service) -> list[Method]:
    """Return all methods, also those of health and reflection."""
    pool = descriptor_pool.DescriptorPool()
    (listed,) = await _reflect(service, ServerReflectionRequest(list_services=""))
    names = [one.name for one in listed.list_services_response.service]
    asked = [ServerReflectionRequest(file_containing_symbol=name) for name in names]
    files: dict[str, FileDescriptorProto] = {}
    for answer in await _reflect(service, *asked):
        for data in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(data)
            files[file.name] = file
    for file in _in_order(files):
        pool.Add(file)
    return [Method(descriptor=method) for name in names for method in pool.FindServiceByName(name).methods]


def _in_order(files: dict[str, FileDescriptorProto]) -> Generator[FileDescriptorProto]:
    """Yield each file after its imports."""
    while files:
        ready = [file for file in files.values() if not set(file.dependency) & files.keys()]
        for file in ready:
            yield files.pop(file.name)


async def _reflect(service: Service, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
    call = service.channel.stream_stream(
        REFLECTION,
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )(iter(requests))
    return [response async for response in call]


async def send(
    service: Service, method: Method, *requests: bytes, answers: int = 1, seconds: float = LIMIT_SECONDS
) -> Answer:
    """Call a method with the bytes of its requests, and hang up after so many answers or seconds."""
    channel, descriptor = service.channel, method.descriptor
    if descriptor.client_streaming:
        call = channel.stream_stream(method.path)(iter(requests), timeout=seconds)
    else:
        (request,) = requests
        call = channel.unary_stream(method.path)(request, timeout=seconds)
    messages: list[bytes] = []
    try:
        async for message in call:
            messages.append(message)
            if descriptor.server_streaming and len(messages) == answers:
                break
    except grpc.aio.AioRpcError as error:
        lost = descriptor.client_streaming and error.details() == SENT_TOO_LATE
        return Answer(code=grpc.StatusCode.CANCELLED if lost else error.code(), text="" if lost else text_of(error))
    finally:
        call.cancel()
    return Answer(code=grpc.StatusCode.OK, text="", messages=tuple(messages))


def text_of(error: grpc.aio.AioRpcError) -> str:
    """Return everything that a failed call told its caller."""
    trailers = [f"{name}: {value!r}" for name, value in error.trailing_metadata() or ()]
    return "\n".join([error.details() or "", error.debug_error_string() or "", *trailers])


OURS = (
    "configapi.v1.AccessService",
    "configapi.v1.ApplicationService",
    "configapi.v1.AuditService",
    "configapi.v1.ConfigurationService",
    "configapi.v1.OperationService",
    "configapi.v1.SchemaService",
    "configapi.v1.ServerService",
    "configapi.v1.SourceService",
    "google.longrunning.Operations",
)
