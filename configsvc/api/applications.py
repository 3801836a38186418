"""ApplicationService: requests to use cases, answers to messages."""

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
from configsvc.domain.errors import Violations
from configsvc.domain.models import ApplicationRef, ApplicationUpdate
from configsvc.domain.scope import Everything
from configsvc.wire import requests
from configsvc.wire.page_tokens import page_token, parsed_page_token
from configsvc.wire.resources import application_message
from configsvc.wire.responses import fitting


class ApplicationServicer:
    """Its methods are named for the RPCs that they answer."""

    def __init__(self, applications: Applications) -> None:
        self._applications = applications

    async def CreateApplication(self, request: CreateApplicationRequest, caller: Caller) -> Application:
        violations = Violations()
        name = requests.new_name(request.name, "name", violations)
        comments = requests.comments(request.comments, "comments", violations)
        context = requests.write_context(request, caller, Everything(), violations)
        violations.check()
        return application_message(await self._applications.create(name, comments, context))

    async def GetApplication(self, request: GetApplicationRequest, caller: Caller) -> Application:
        violations = Violations()
        ref = requests.application_ref(request, "", violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        violations.check()
        caller.require_application(Role.VIEWER, ref)
        found = await self._applications.get(ref, min_revision=min_revision, scope=caller.scope(Role.VIEWER))
        return application_message(found)

    async def ListApplications(self, request: ListApplicationsRequest, caller: Caller) -> ListApplicationsResponse:
        violations = Violations()
        name_prefix = requests.name_prefix(request.name_prefix, "name_prefix", violations)
        min_revision = requests.non_negative(request.min_revision, "min_revision", violations)
        limit = requests.page_size(request.page_size, violations)
        token = parsed_page_token(request, key=(str,), violations=violations)
        violations.check()
        page = await self._applications.list_page(
            name_prefix=name_prefix,
            min_revision=min_revision,
            revision=token.revision if token else None,
            after=str(token.after[0]) if token else None,
            limit=limit,
            scope=caller.scope(Role.VIEWER),
        )
        shown = fitting(map(application_message, page.resources))
        last_key = (shown[-1].name,) if len(shown) < len(page.resources) else page.last_key
        return ListApplicationsResponse(
            applications=shown,
            next_page_token=page_token(request, revision=page.revision, resource_id=None, after=last_key),
            revision=page.revision,
        )

    async def UpdateApplication(self, request: UpdateApplicationRequest, caller: Caller) -> Application:
        violations = Violations()
        ref = requests.application_ref(request, "", violations)
        update = requests.application_update(request, violations)
        expected_version = requests.non_negative(request.expected_version, "expected_version", violations)
        context = requests.write_context(request, caller, caller.scope(Role.ADMIN), violations)
        violations.check()
        self._require_admin(caller, ref, update)
        return application_message(
            await self._applications.update(ref, update, expected_version=expected_version, context=context)
        )

    def _require_admin(self, caller: Caller, ref: ApplicationRef, update: ApplicationUpdate) -> None:
        own = caller.require_application(Role.ADMIN, ref)
        if own is not None and update.name is not None and caller.access_now.ids.get(update.name) != own:
            # Names belong to the installation: whether one is taken is not for everybody to find out, nor to take one.
            caller.require(Role.ADMIN, None, f"another name of application {ref}")

    async def DeleteApplication(self, request: DeleteApplicationRequest, caller: Caller) -> DeleteApplicationResponse:
        violations = Violations()
        ref = requests.application_ref(request, "", violations)
        expected_version = requests.non_negative(request.expected_version, "expected_version", violations)
        context = requests.write_context(request, caller, caller.scope(Role.ADMIN), violations)
        violations.check()
        caller.require_application(Role.ADMIN, ref)
        revision = await self._applications.delete(
            ref, force=request.force, expected_version=expected_version, context=context
        )
        return DeleteApplicationResponse(revision=revision)
