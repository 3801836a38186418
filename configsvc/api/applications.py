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
        wanted = wire.creation(request, caller.author(Everything()))
        return application_message(await self._applications.create(wanted.name, wanted.comments, wanted.context))

    async def GetApplication(self, request: GetApplicationRequest, caller: Caller) -> Application:
        wanted, scope = wire.lookup(request), caller.scope(Role.VIEWER)
        caller.require_application(Role.VIEWER, wanted.ref)
        found = await self._applications.get(wanted.ref, min_revision=wanted.min_revision, scope=scope)
        return application_message(found)

    async def ListApplications(self, request: ListApplicationsRequest, caller: Caller) -> ListApplicationsResponse:
        page = await self._applications.list_page(wire.listing(request), caller.scope(Role.VIEWER))
        return wire.list_response(request, page)

    async def UpdateApplication(self, request: UpdateApplicationRequest, caller: Caller) -> Application:
        wanted = wire.update(request, caller.author(caller.scope(Role.ADMIN)))
        _require_admin(caller, wanted)
        updated = await self._applications.update(
            wanted.ref, wanted.values, expected_version=wanted.expected_version, context=wanted.context
        )
        return application_message(updated)

    async def DeleteApplication(self, request: DeleteApplicationRequest, caller: Caller) -> DeleteApplicationResponse:
        wanted = wire.deletion(request, caller.author(caller.scope(Role.ADMIN)))
        caller.require_application(Role.ADMIN, wanted.ref)
        revision = await self._applications.delete(
            wanted.ref, force=wanted.force, expected_version=wanted.expected_version, context=wanted.context
        )
        return DeleteApplicationResponse(revision=revision)


def _require_admin(caller: Caller, wanted: wire.Update) -> None:
    own = caller.require_application(Role.ADMIN, wanted.ref)
    new_name = wanted.values.name
    if own is not None and new_name is not None and caller.access_now.ids.get(new_name) != own:
        # Names belong to the installation: an admin of one application may neither take one nor learn if it is taken.
        caller.require(Role.ADMIN, None, f"renaming application {wanted.ref}")
