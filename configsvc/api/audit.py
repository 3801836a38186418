"""AuditService, without a transport."""

from configapi.v1.audit_service_pb2 import ListChangesRequest, ListChangesResponse
from configsvc.access.caller import Caller
from configsvc.configurations.audit import Audit
from configsvc.domain.access import Role
from configsvc.feed.feed import Feed
from configsvc.wire import audit as wire


class AuditServicer:
    """One method for each RPC, named like it."""

    def __init__(self, audit: Audit, feed: Feed) -> None:
        self._audit = audit
        self._feed = feed

    async def ListChanges(self, request: ListChangesRequest, caller: Caller) -> ListChangesResponse:
        is_admin = caller.access.everywhere >= Role.ADMIN
        parsed = wire.listing(request, caller.scope(Role.VIEWER), outside_applications=is_admin)
        caller.require_listed(Role.VIEWER, parsed.chosen.application)
        epoch = self._feed.epoch_for(parsed.epoch)
        page = await self._audit.list_changes(parsed.chosen, before=parsed.page.after, limit=parsed.page.limit)
        return wire.list_response(request, page, epoch)
