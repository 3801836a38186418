"""ApplicationService: requests and responses. Parsers raise InvalidRequestError with every fault."""

from dataclasses import dataclass

from configapi.v1.application_pb2 import Application as ApplicationMessage
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    GetApplicationRequest,
    ListApplicationsRequest,
    ListApplicationsResponse,
    UpdateApplicationRequest,
)
from configsvc.domain.errors import Violations
from configsvc.domain.models import Application, ApplicationRef, ApplicationUpdate, Page, WriteContext
from configsvc.domain.requests import Author, NameListing, NameLookup
from configsvc.wire import fields
from configsvc.wire.paging import fitting_list, name_key, page_request
from configsvc.wire.times import timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A CreateApplicationRequest."""

    name: str
    comments: str
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An UpdateApplicationRequest. `expected_version` 0: any."""

    ref: ApplicationRef
    values: ApplicationUpdate
    expected_version: int
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A DeleteApplicationRequest. `expected_version` 0: any. `force`: with its configurations."""

    ref: ApplicationRef
    force: bool
    expected_version: int
    context: WriteContext


def creation(request: CreateApplicationRequest, author: Author) -> Creation:
    with Violations() as violations:
        return Creation(
            name=fields.new_name(request.name, "name", violations),
            comments=fields.comments(request.comments, "comments", violations),
            context=fields.write_context(request, author, violations),
        )


def lookup(request: GetApplicationRequest) -> NameLookup:
    with Violations() as violations:
        return NameLookup(
            ref=fields.application_ref(request, "", violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
        )


def listing(request: ListApplicationsRequest) -> NameListing:
    with Violations() as violations:
        return NameListing(
            name_prefix=fields.name_prefix(request.name_prefix, violations),
            min_revision=fields.non_negative(request.min_revision, "min_revision", violations),
            page=page_request(request, name_key, violations),
        )


def update(request: UpdateApplicationRequest, author: Author) -> Update:
    with Violations() as violations:
        return Update(
            ref=fields.application_ref(request, "", violations),
            values=_values(request, violations),
            expected_version=fields.non_negative(request.expected_version, "expected_version", violations),
            context=fields.write_context(request, author, violations),
        )


def _values(request: UpdateApplicationRequest, violations: Violations) -> ApplicationUpdate:
    new = request.application
    populated = {path for path, is_set in (("name", new.name), ("comments", new.comments)) if is_set}
    paths = fields.updated_paths(request.update_mask, "update_mask", ("name", "comments"), populated, violations)
    if not paths:
        violations.add("update_mask", "lists nothing to change: set it, or set fields of application")
    return ApplicationUpdate(
        name=fields.new_name(new.name, "application.name", violations) if "name" in paths else None,
        comments=fields.comments(new.comments, "application.comments", violations) if "comments" in paths else None,
    )


def deletion(request: DeleteApplicationRequest, author: Author) -> Deletion:
    with Violations() as violations:
        return Deletion(
            ref=fields.application_ref(request, "", violations),
            force=request.force,
            expected_version=fields.non_negative(request.expected_version, "expected_version", violations),
            context=fields.write_context(request, author, violations),
        )


def application_message(application: Application) -> ApplicationMessage:
    """Return the message of an application."""
    return ApplicationMessage(
        id=application.id,
        name=application.name,
        comments=application.comments,
        version=application.version,
        revision=application.revision,
        create_time=timestamp(application.create_time),
        update_time=timestamp(application.update_time),
    )


def list_response(request: ListApplicationsRequest, page: Page[Application]) -> ListApplicationsResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(request, page, application_message, lambda application: (application.name,))
    return ListApplicationsResponse(
        applications=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision
    )
