"""SourceService, without a transport."""

from configapi.v1.source_service_pb2 import (
    AcquireSourceLeaseRequest,
    AcquireSourceLeaseResponse,
    ApplySourceRequest,
    ApplySourceResponse,
    ListAppliedConfigurationsRequest,
    ListAppliedConfigurationsResponse,
    ListSourcesRequest,
    ListSourcesResponse,
    ReleaseSourceLeaseRequest,
    ReleaseSourceLeaseResponse,
    ReleaseSourceRequest,
    ReleaseSourceResponse,
)
from configsvc.access.caller import Caller


class SourceServicer:
    """One method for each RPC, named like it."""

    async def ListSources(self, request: ListSourcesRequest, caller: Caller) -> ListSourcesResponse:
        raise NotImplementedError

    async def ListAppliedConfigurations(
        self, request: ListAppliedConfigurationsRequest, caller: Caller
    ) -> ListAppliedConfigurationsResponse:
        raise NotImplementedError

    async def ApplySource(self, request: ApplySourceRequest, caller: Caller) -> ApplySourceResponse:
        raise NotImplementedError

    async def ReleaseSource(self, request: ReleaseSourceRequest, caller: Caller) -> ReleaseSourceResponse:
        raise NotImplementedError

    async def AcquireSourceLease(
        self, request: AcquireSourceLeaseRequest, caller: Caller
    ) -> AcquireSourceLeaseResponse:
        raise NotImplementedError

    async def ReleaseSourceLease(
        self, request: ReleaseSourceLeaseRequest, caller: Caller
    ) -> ReleaseSourceLeaseResponse:
        raise NotImplementedError
