"""SourceService, without a transport."""

from collections.abc import Sequence

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
from configsvc.api.batches import fill_batch, parsed_batch
from configsvc.configurations.sources import Sources
from configsvc.domain.access import Role
from configsvc.domain.errors import Violations
from configsvc.domain.models import WriteContext
from configsvc.domain.preconditions import Precondition
from configsvc.domain.sources import SourceChange
from configsvc.domain.writes import BatchWrite
from configsvc.feed.feed import Feed
from configsvc.wire import sources as wire


class SourceServicer:
    """One method for each RPC, named like it. The epoch of an answer is taken before its data are read."""

    def __init__(self, sources: Sources, feed: Feed) -> None:
        self._sources = sources
        self._feed = feed

    async def ListSources(self, request: ListSourcesRequest, caller: Caller) -> ListSourcesResponse:
        parsed, scope = wire.listing(request), caller.scope(Role.VIEWER)
        caller.require_listed(Role.VIEWER, parsed.application)
        found, last_id = await self._sources.list_page(
            parsed.application, parsed.repository, parsed.path, parsed.page, scope
        )
        return wire.list_response(request, found, last_id)

    async def ListAppliedConfigurations(
        self, request: ListAppliedConfigurationsRequest, caller: Caller
    ) -> ListAppliedConfigurationsResponse:
        parsed, scope = wire.applied_listing(request), caller.scope(Role.VIEWER)
        caller.require_application(Role.VIEWER, parsed.application)
        return wire.applied_response(request, await self._sources.list_applied(parsed.application, parsed.page, scope))

    async def ApplySource(self, request: ApplySourceRequest, caller: Caller) -> ApplySourceResponse:
        change, (writes, preconditions, context) = await _admitted_apply(request, caller)
        response = ApplySourceResponse(epoch=self._feed.epoch_for())
        applied = await self._sources.apply(change, writes, preconditions, context)
        await fill_batch(response, applied.batch)
        response.source.CopyFrom(wire.applied_message(applied.source, validate_only=request.validate_only))
        return response

    async def ReleaseSource(self, request: ReleaseSourceRequest, caller: Caller) -> ReleaseSourceResponse:
        release, context = wire.release(request, caller.author(caller.scope(Role.EDITOR)))
        caller.require_application(Role.EDITOR, release.application)
        return ReleaseSourceResponse(changed=await self._sources.release(release, context))

    async def AcquireSourceLease(
        self, request: AcquireSourceLeaseRequest, caller: Caller
    ) -> AcquireSourceLeaseResponse:
        parsed = wire.acquisition(request, caller.actor)
        return wire.lease_message(await self._sources.acquire_lease(parsed.key, parsed.holder, parsed.seconds))

    async def ReleaseSourceLease(
        self, request: ReleaseSourceLeaseRequest, caller: Caller
    ) -> ReleaseSourceLeaseResponse:
        key, holder = wire.lease_release(request, caller.actor)
        return ReleaseSourceLeaseResponse(released=await self._sources.release_lease(key, holder))


async def _admitted_apply(
    request: ApplySourceRequest, caller: Caller
) -> tuple[SourceChange, tuple[list[BatchWrite], Sequence[Precondition], WriteContext]]:
    """Parse a request, and check that the caller may make it."""
    author, visible = caller.author(caller.scope(Role.EDITOR)), caller.scope(Role.VIEWER)
    with Violations() as violations:
        change = wire.change(request, violations)
        batch = await parsed_batch(request, author, visible, violations)
        wire.check_applications(change.application, batch[0], violations)
    caller.require_application(Role.EDITOR, change.application)
    for condition in batch[1]:
        caller.require_listed(Role.VIEWER, condition.application)
    return change, batch
