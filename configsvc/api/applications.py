"""ApplicationService, without a transport."""

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    DeleteApplicationResponse,
    GetApplicationRequest,
    ListApplicationsRequest,
    ListApplicationsResponse,
    UpdateApplicationRequest,
)
from configsvc.access.caller import Caller
from configsvc.configurations.applications import Applications
from configsvc.domain.access import Role
from configsvc.domain.scope import Everything
from configsvc.wire import applications as wire
from configsvc.wire.applications import application_message


class ApplicationServicer:
    """One method for each RPC, named like it."""

    def __init__(self, applications: Applications) -> None:
        self._applications = applications

    async def CreateApplication(self, request: CreateApplicationRequest, caller: Caller) -> Application:
        parsed = wire.creation(request, caller.author(Everything()))
        return application_message(await self._applications.create(parsed.name, parsed.comments, parsed.context))

    async def GetApplication(self, request: GetApplicationRequest, caller: Caller) -> Application:
        parsed, scope = wire.lookup(request), caller.scope(Role.VIEWER)
        caller.require_application(Role.VIEWER, parsed.ref)
        found = await self._applications.get(parsed.ref, min_revision=parsed.min_revision, scope=scope)
        return application_message(found)

    async def ListApplications(self, request: ListApplicationsRequest, caller: Caller) -> ListApplicationsResponse:
        page = await self._applications.list_page(wire.listing(request), caller.scope(Role.VIEWER))
        return wire.list_response(request, page)

    async def UpdateApplication(self, request: UpdateApplicationRequest, caller: Caller) -> Application:
        parsed = wire.update(request, caller.author(caller.scope(Role.ADMIN)))
        _require_admin(caller, parsed)
        updated = await self._applications.update(
            parsed.ref, parsed.values, expected_version=parsed.expected_version, context=parsed.context
        )
        return application_message(updated)

    async def DeleteApplication(self, request: DeleteApplicationRequest, caller: Caller) -> DeleteApplicationResponse:
        parsed = wire.deletion(request, caller.author(caller.scope(Role.ADMIN)))
        caller.require_application(Role.ADMIN, parsed.ref)
        revision = await self._applications.delete(
            parsed.ref, force=parsed.force, expected_version=parsed.expected_version, context=parsed.context
        )
        return DeleteApplicationResponse(revision=revision)


def _require_admin(caller: Caller, parsed: wire.Update) -> None:
    own = caller.require_application(Role.ADMIN, parsed.ref)
    new_name = parsed.values.name
    if own is not None and new_name is not None and caller.access_now.ids.get(new_name) != own:
        # Names belong to the installation: an admin of one application may neither take one nor learn if it is taken.
        caller.require(Role.ADMIN, None, f"renaming application {parsed.ref}")
