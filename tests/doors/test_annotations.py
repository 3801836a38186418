"""Paths from the contract: every RPC has one, and a new RPC is on both doors at once."""

from pathlib import Path
from typing import Any

import pytest
from google.api.annotations_pb2 import http
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from configapi.v1.method_rules_pb2 import PERMISSION_AUTHENTICATED, rules
from configsvc.access.caller import Caller
from configsvc.api.services import SERVICES
from configsvc.app import assembly
from configsvc.http2 import server as http2
from configsvc.rpc import server as rpc
from configsvc.web import server as web
from tests.doors.bindings import bindings_of
from tests.service import Door, running_service

DESCRIPTORS = Path(__file__).parents[2] / "generated" / "configapi" / "descriptors.binpb"
METHODS = [method for service in SERVICES for method in service.methods]


def echo_method(package: str, *, path: str) -> MethodDescriptor:
    """Return the method of a new service, which answers its text; with an empty path, it has no annotation."""
    file = FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto3",
        dependency=["google/api/annotations.proto", "configapi/v1/method_rules.proto"],
    )
    message = file.message_type.add(name="EchoMessage")
    message.field.add(name="text", number=1, type=FieldDescriptorProto.TYPE_STRING)
    service = file.service.add(name="EchoService")
    method = service.method.add(
        name="Echo", input_type=f".{package}.EchoMessage", output_type=f".{package}.EchoMessage"
    )
    options: Any = method.options
    options.Extensions[rules].permission = PERMISSION_AUTHENTICATED
    if path:
        options.Extensions[http].get = path
    Default().AddSerializedFile(file.SerializeToString())
    return Default().FindServiceByName(f"{package}.EchoService").methods_by_name["Echo"]


class EchoServicer:
    """The service of a new method."""

    async def Echo(self, request: Message, _caller: Caller) -> Message:  # noqa: N802  # the name of the contract
        return request


def serve_also(monkeypatch: pytest.MonkeyPatch, method: MethodDescriptor) -> None:
    """Add the method's service to those that the doors serve."""
    services = (*SERVICES, method.containing_service)
    monkeypatch.setattr(rpc, "SERVICES", services)
    monkeypatch.setattr(http2, "SERVICES", services)
    monkeypatch.setattr(web, "SERVICES", services)
    servicers: Any = assembly._servicers
    monkeypatch.setattr(
        assembly, "_servicers", lambda *parts, **more: servicers(*parts, **more) | {"EchoService": EchoServicer()}
    )


def test_every_service_of_the_contract_is_served() -> None:
    files = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    declared = {f"{file.package}.{one.name}" for file in files for one in file.service}
    assert {one for one in declared if one.startswith("configapi.")} == {
        service.full_name for service in SERVICES if service.full_name.startswith("configapi.")
    }


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_rpc_has_a_path_below_the_version_of_the_api(method: MethodDescriptor) -> None:
    for binding in bindings_of(method):
        verb = binding.WhichOneof("pattern")
        assert verb is not None, f"{method.full_name} has no google.api.http annotation"
        assert verb != "custom", method.full_name
        assert getattr(binding, verb).startswith("/api/v1/"), method.full_name


def test_no_two_rpcs_share_a_path() -> None:
    taken = [
        (binding.WhichOneof("pattern"), getattr(binding, str(binding.WhichOneof("pattern"))))
        for method in METHODS
        for binding in bindings_of(method)
    ]
    assert len(set(taken)) == len(taken)


async def test_a_new_rpc_is_on_both_doors_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = echo_method("doors.annotated", path="/api/v1/echoes/{text}")
    serve_also(monkeypatch, method)
    kind: Any = GetMessageClass(method.input_type)
    request = kind(text="a/b ä")
    async with running_service(database_url, http_listen="127.0.0.1:0") as service:
        over_grpc = await service.channel.unary_unary(
            f"/{method.containing_service.full_name}/Echo", kind.SerializeToString, kind.FromString
        )(request)
        assert service.http
        over_http = await service.http.method(method)(request)
    assert over_grpc == over_http == request


async def test_a_service_with_an_rpc_that_has_no_path_does_not_start(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_also(monkeypatch, echo_method("doors.bare", path=""))
    with pytest.raises(LookupError, match=r"doors\.bare\.EchoService\.Echo has no google.api.http annotation"):
        # A service on ngh2 would leave its bound sockets behind, as its program does when it ends.
        async with running_service(database_url, door=Door.HTTP, transport="grpcio"):
            pass
