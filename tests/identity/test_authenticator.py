from pathlib import Path

import grpc
import pytest

from configapi.v1.application_service_pb2 import CreateApplicationRequest, ListApplicationsRequest
from tests.identity.tokens import bearing, oidc_settings
from tests.service import reason_of, running_service


async def test_a_call_without_a_token_is_refused_and_one_with_a_role_is_not(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.applications.ListApplications(ListApplicationsRequest())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert reason_of(caught.value) == "UNAUTHENTICATED"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.applications.ListApplications(ListApplicationsRequest(), metadata=bearing("nobody"))
        assert reason_of(caught.value) == "PERMISSION_DENIED"
        request = CreateApplicationRequest(name="billing")
        created = await service.applications.CreateApplication(request, metadata=bearing("root"))
        assert created.application.name == "billing"
