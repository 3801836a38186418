"""ApplicationService, without a transport."""

from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    CreateApplicationResponse,
    DeleteApplicationRequest,
    DeleteApplicationResponse,
    GetApplicationRequest,
    GetApplicationResponse,
    ListApplicationsRequest,
    ListApplicationsResponse,
    UpdateApplicationRequest,
    UpdateApplicationResponse,
)
from configsvc.access.caller import Caller
from configsvc.configurations.applications import Applications
from configsvc.domain.access import Role
from configsvc.domain.scope import Everything
from configsvc.feed.feed import Feed
from configsvc.wire import applications as wire
from configsvc.wire.applications import application_message


class ApplicationServicer:
    """One method for each RPC, named like it. The epoch of an answer is taken before its data are read, so that it is
    never newer than they are.
    """

    def __init__(self, applications: Applications, feed: Feed) -> None:
        self._applications = applications
        self._feed = feed

    async def CreateApplication(self, request: CreateApplicationRequest, caller: Caller) -> CreateApplicationResponse:
        parsed = wire.creation(request, caller.author(Everything()))
        epoch = self._feed.epoch_for()
        created = await self._applications.create(parsed.name, parsed.comments, parsed.context)
        return wire.creation_response(created, epoch)

    async def GetApplication(self, request: GetApplicationRequest, caller: Caller) -> GetApplicationResponse:
        parsed, scope = wire.lookup(request), caller.scope(Role.VIEWER)
        caller.require_application(Role.VIEWER, parsed.ref)
        epoch = self._feed.epoch_for(parsed.epoch)
        application, revision = await self._applications.get(parsed.ref, parsed.moment, scope)
        return GetApplicationResponse(application=application_message(application), revision=revision, epoch=epoch)

    async def ListApplications(self, request: ListApplicationsRequest, caller: Caller) -> ListApplicationsResponse:
        parsed, scope = wire.listing(request), caller.scope(Role.VIEWER)
        epoch = self._feed.epoch_for(parsed.epoch)
        page = await self._applications.list_page(parsed.name_prefix, parsed.moment, parsed.page, scope)
        return wire.list_response(request, page, epoch)

    async def UpdateApplication(self, request: UpdateApplicationRequest, caller: Caller) -> UpdateApplicationResponse:
        parsed = wire.update(request, caller.author(caller.scope(Role.ADMIN)))
        _require_admin(caller, parsed)
        epoch = self._feed.epoch_for()
        updated = await self._applications.update(
            parsed.ref,
            parsed.values,
            expected=parsed.expected,
            allow_missing=parsed.allow_missing,
            context=parsed.context,
        )
        return wire.update_response(updated, epoch)

    async def DeleteApplication(self, request: DeleteApplicationRequest, caller: Caller) -> DeleteApplicationResponse:
        parsed = wire.deletion(request, caller.author(caller.scope(Role.ADMIN)))
        caller.require_application(Role.ADMIN, parsed.ref)
        epoch = self._feed.epoch_for()
        deleted = await self._applications.delete(
            parsed.ref,
            force=parsed.force,
            expected=parsed.expected,
            allow_missing=parsed.allow_missing,
            context=parsed.context,
        )
        return DeleteApplicationResponse(revision=deleted.result, epoch=epoch, changed=deleted.changed)


def _require_admin(caller: Caller, parsed: wire.Update) -> None:
    if parsed.allow_missing:
        caller.require_everywhere(Role.ADMIN)
        return
    own = caller.require_application(Role.ADMIN, parsed.ref)
    new_name = parsed.values.name
    if own is not None and new_name is not None and caller.access_now.ids.get(new_name) != own:
        # Names belong to the installation: an admin of one application may neither take one nor learn if it is taken.
        caller.require(Role.ADMIN, None, f"renaming application {parsed.ref}")
