"""ApplicationService: requests and responses. Parsers raise InvalidRequestError with every fault."""

from dataclasses import dataclass

from configapi.v1.application_pb2 import Application as ApplicationMessage
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    CreateApplicationResponse,
    DeleteApplicationRequest,
    GetApplicationRequest,
    ListApplicationsRequest,
    ListApplicationsResponse,
    UpdateApplicationRequest,
    UpdateApplicationResponse,
)
from configsvc.domain.errors import Violations
from configsvc.domain.expectations import Expectation
from configsvc.domain.models import (
    Application,
    ApplicationRef,
    ApplicationUpdate,
    Done,
    IdRef,
    Moment,
    Page,
    WriteContext,
)
from configsvc.domain.requests import Author, PageRequest
from configsvc.wire import fields
from configsvc.wire.expectations import expectation
from configsvc.wire.moments import epoch, moment
from configsvc.wire.paging import fitting_list, name_key, page_request
from configsvc.wire.times import timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A CreateApplicationRequest."""

    name: str
    comments: str
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A GetApplicationRequest. `epoch` empty: any."""

    ref: ApplicationRef
    moment: Moment
    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A ListApplicationsRequest. `epoch` empty: any."""

    name_prefix: str
    moment: Moment
    epoch: str
    page: PageRequest[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An UpdateApplicationRequest. `allow_missing`: or create the application."""

    ref: ApplicationRef
    values: ApplicationUpdate
    expected: Expectation
    allow_missing: bool
    context: WriteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A DeleteApplicationRequest. `force`: with its configurations. `allow_missing`: if it exists."""

    ref: ApplicationRef
    force: bool
    expected: Expectation
    allow_missing: bool
    context: WriteContext


def creation(request: CreateApplicationRequest, author: Author) -> Creation:
    with Violations() as violations:
        return Creation(
            name=fields.new_name(request.name, "name", violations),
            comments=fields.comments(request.comments, "comments", violations),
            context=fields.write_context(request, author, violations),
        )


def lookup(request: GetApplicationRequest) -> Lookup:
    with Violations() as violations:
        return Lookup(
            ref=fields.application_ref(request, "", violations),
            moment=moment(request, violations),
            epoch=epoch(request.epoch, violations),
        )


def listing(request: ListApplicationsRequest) -> Listing:
    with Violations() as violations:
        return Listing(
            name_prefix=fields.name_prefix(request.name_prefix, violations),
            moment=moment(request, violations),
            epoch=epoch(request.epoch, violations),
            page=page_request(request, name_key, violations),
        )


def update(request: UpdateApplicationRequest, author: Author) -> Update:
    with Violations() as violations:
        ref = fields.application_ref(request, "", violations)
        values = _values(request, violations)
        if request.allow_missing:
            _check_creatable(ref, values, violations)
        return Update(
            ref=ref,
            values=values,
            expected=expectation(request, request.application.etag, violations),
            allow_missing=request.allow_missing,
            context=fields.write_context(request, author, violations),
        )


def _check_creatable(ref: ApplicationRef, values: ApplicationUpdate, violations: Violations) -> None:
    if isinstance(ref, IdRef):
        violations.add("id", "cannot be combined with allow_missing, as the server assigns ids: set name")
    elif values.name not in {None, ref.name}:
        violations.add("application.name", "is a new name, which cannot be combined with allow_missing")


def _values(request: UpdateApplicationRequest, violations: Violations) -> ApplicationUpdate:
    new = request.application
    populated = {path for path, is_set in (("name", new.name), ("comments", new.comments)) if is_set}
    paths = fields.updated_paths(request.update_mask, "update_mask", ("name", "comments"), populated, violations)
    if not paths and not request.allow_missing:
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
            expected=expectation(request, request.expected_etag, violations),
            allow_missing=request.allow_missing,
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
        etag=application.etag,
    )


def creation_response(done: Done[Application], epoch: str) -> CreateApplicationResponse:
    """Return the response to a creation."""
    return CreateApplicationResponse(
        application=application_message(done.result), revision=done.result.revision, epoch=epoch, changed=done.changed
    )


def update_response(done: Done[Application], epoch: str) -> UpdateApplicationResponse:
    """Return the response to an update."""
    return UpdateApplicationResponse(
        application=application_message(done.result), revision=done.result.revision, epoch=epoch, changed=done.changed
    )


def list_response(request: ListApplicationsRequest, page: Page[Application], epoch: str) -> ListApplicationsResponse:
    """Return the response that carries as much of the page as fits."""
    fitted = fitting_list(request, page, application_message, lambda application: (application.name,))
    return ListApplicationsResponse(
        applications=fitted.messages, next_page_token=fitted.next_page_token, revision=page.revision, epoch=epoch
    )
