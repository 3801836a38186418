"""Metadata that names a tenant is refused until it means something."""

import grpc

from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.rpc.tenants import TENANT_KEY
from tests.api.calls import failing
from tests.rpc.served import served_methods
from tests.service import Service, violations_of


async def test_every_method_refuses_a_call_that_names_a_tenant(service: Service) -> None:
    methods = await served_methods(service)
    assert len(methods) > 40
    for method in methods:
        for value in ("bank", ""):
            # Nothing is sent: grpcio's client ends with INTERNAL if the refusal comes while it sends.
            call = service.channel.stream_stream(method.path)(metadata=((TENANT_KEY, value),), timeout=10)
            with failing(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
                await call.read()
            assert set(violations_of(caught.value)) == {TENANT_KEY}


async def test_other_metadata_are_no_concern_of_the_refusal(service: Service) -> None:
    for key in ("x-configsvc", "x-configsvc-tenants", "tenant"):
        status = await service.server.GetServerStatus(GetServerStatusRequest(), metadata=((key, "bank"),))
        assert status.live
