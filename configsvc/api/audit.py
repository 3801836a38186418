"""AuditService: requests to use cases, answers to messages."""

from configapi.v1.audit_service_pb2 import ListChangesRequest, ListChangesResponse
from configsvc.access.caller import Caller
from configsvc.configurations.audit import Audit
from configsvc.domain.access import Role
from configsvc.domain.audit import LogPosition
from configsvc.domain.errors import Violations
from configsvc.wire import requests
from configsvc.wire.audit import change_filter, change_message
from configsvc.wire.page_tokens import page_token, parsed_page_token
from configsvc.wire.responses import fitting


class AuditServicer:
    """Its methods are named for the RPCs that they answer."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def ListChanges(self, request: ListChangesRequest, caller: Caller) -> ListChangesResponse:
        violations = Violations()
        is_admin = caller.access.everywhere >= Role.ADMIN
        scope = caller.scope(Role.VIEWER)
        chosen = change_filter(request, scope, violations, outside_applications=is_admin)
        limit = requests.page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(int, int, int), violations=violations)
        violations.check()
        caller.require_listed(Role.VIEWER, chosen.application)
        before = LogPosition(*map(int, token.after)) if token else None
        page = await self._audit.list_changes(chosen, before=before, limit=limit)
        shown = fitting(map(change_message, page.changes))
        last = page.changes[len(shown) - 1].position if len(shown) < len(page.changes) else page.last
        return ListChangesResponse(
            changes=shown,
            next_page_token=page_token(request, revision=0, resource_id=None, after=last),
            compacted_revision=page.compacted_revision,
        )
