"""SourceService: requests and messages. Parsers raise InvalidRequestError with every fault."""

from collections.abc import Sequence
from dataclasses import dataclass

from configapi.v1.source_pb2 import AppliedConfiguration as AppliedConfigurationMessage
from configapi.v1.source_pb2 import Source as SourceMessage
from configapi.v1.source_service_pb2 import (
    AcquireSourceLeaseRequest,
    AcquireSourceLeaseResponse,
    ApplySourceRequest,
    ListAppliedConfigurationsRequest,
    ListAppliedConfigurationsResponse,
    ListSourcesRequest,
    ListSourcesResponse,
    ReleaseSourceLeaseRequest,
    ReleaseSourceRequest,
)
from configsvc.domain.errors import Violations
from configsvc.domain.models import ApplicationRef, Done, KeyRef, NameRef, WriteContext
from configsvc.domain.names import check_id
from configsvc.domain.requests import Author, PageRequest
from configsvc.domain.sources import (
    MAX_LEASE_SECONDS,
    MAX_RELEASED,
    MIN_LEASE_SECONDS,
    AppliedConfiguration,
    AppliedPage,
    Lease,
    LeaseKey,
    Source,
    SourceChange,
    SourceRelease,
    SourceRevision,
    check_commit,
    check_holder,
    check_path,
    check_repository,
)
from configsvc.domain.writes import BatchWrite, Creation, Upsert
from configsvc.wire import fields
from configsvc.wire.paging import fitting_page, name_key, page_request
from configsvc.wire.times import duration, timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A ListSourcesRequest. `application`, `repository` and `path` None: any."""

    application: ApplicationRef | None
    repository: str | None
    path: str | None
    page: PageRequest[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedListing:
    """A ListAppliedConfigurationsRequest."""

    application: ApplicationRef
    page: PageRequest[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """An AcquireSourceLeaseRequest."""

    key: LeaseKey
    holder: str
    seconds: float


def listing(request: ListSourcesRequest) -> Listing:
    with Violations() as violations:
        has_path = request.HasField("path")
        if request.repository:
            check_repository(request.repository, "repository", violations)
        elif has_path:
            violations.add("path", "requires repository")
        check_path(request.path, "path", violations)
        return Listing(
            application=fields.application_if_any(request, violations),
            repository=request.repository or None,
            path=request.path if has_path else None,
            page=page_request(request, name_key, violations),
        )


def list_response(request: ListSourcesRequest, sources: Sequence[Source], last_id: str | None) -> ListSourcesResponse:
    """Return the response that carries as many of the sources as fit."""
    last_key = (last_id,) if last_id else None
    fitted = fitting_page(request, sources, source_message, lambda one: (one.application_id,), last_key=last_key)
    return ListSourcesResponse(sources=fitted.messages, next_page_token=fitted.next_page_token)


def applied_listing(request: ListAppliedConfigurationsRequest) -> AppliedListing:
    with Violations() as violations:
        return AppliedListing(
            application=fields.required_application(request, violations),
            page=page_request(request, name_key, violations),
        )


def applied_response(request: ListAppliedConfigurationsRequest, page: AppliedPage) -> ListAppliedConfigurationsResponse:
    """Return the response with the marks."""
    last_key = (page.last_id,) if page.last_id else None
    fitted = fitting_page(
        request,
        page.marks,
        _applied_message,
        lambda mark: (mark.id,),
        last_key=last_key,
        resource_id=page.application_id,
    )
    return ListAppliedConfigurationsResponse(
        applied_configurations=fitted.messages,
        next_page_token=fitted.next_page_token,
        source_etag=page.source_etag,
    )


def _applied_message(mark: AppliedConfiguration) -> AppliedConfigurationMessage:
    return AppliedConfigurationMessage(id=mark.id, version=mark.version, name=mark.name)


def change(request: ApplySourceRequest, violations: Violations) -> SourceChange:
    """Return what the request makes of the source, and add its faults."""
    if not request.HasField("source"):
        violations.add("source", "is required")
    given = request.source
    check_repository(given.repository, "source.repository", violations)
    check_path(given.path, "source.path", violations)
    check_commit(given.commit, "source.commit", violations)
    return SourceChange(
        application=fields.required_application(request, violations),
        revision=SourceRevision(repository=given.repository, path=given.path, commit=given.commit),
        expected_etag=request.expected_etag,
        adopt=request.adopt,
        released_ids=_released_ids(request, violations),
    )


def _released_ids(request: ApplySourceRequest, violations: Violations) -> tuple[str, ...]:
    ids = tuple(request.released_ids)
    if len(ids) > MAX_RELEASED:
        violations.add("released_ids", f"has {len(ids)} items: at most {MAX_RELEASED} are allowed")
        return ()
    for index, released in enumerate(ids):
        check_id(released, f"released_ids[{index}]", violations)
    return ids


def check_applications(ref: ApplicationRef, writes: Sequence[BatchWrite], violations: Violations) -> None:
    """Add a fault for each write that names another application by its name; others are found to be foreign later."""
    if not isinstance(ref, NameRef):
        return
    for index, write in enumerate(writes):
        name = _application_name(write)
        if name not in {None, ref.name}:
            violations.add(f"writes[{index}]", f"is of application {name}: all must be of application {ref}")


def _application_name(write: BatchWrite) -> str | None:
    if isinstance(write, Creation | Upsert):
        return write.application.name if isinstance(write.application, NameRef) else None
    return write.ref.application if isinstance(write.ref, KeyRef) else None


def source_message(source: Source) -> SourceMessage:
    """Return the message of a source."""
    return SourceMessage(
        application_id=source.application_id,
        application=source.application,
        repository=source.applied.repository,
        path=source.applied.path,
        commit=source.applied.commit,
        apply_time=timestamp(source.apply_time),
        applied_by=source.applied_by,
        version=source.version,
        etag=source.etag,
        applied_count=source.applied_count,
    )


def applied_message(source: Done[Source], *, validate_only: bool) -> SourceMessage:
    """Return the message of a source that a call has left. One that was not kept has no etag."""
    message = source_message(source.result)
    if validate_only and source.changed:
        message.ClearField("etag")
    return message


def release(request: ReleaseSourceRequest, author: Author) -> tuple[SourceRelease, WriteContext]:
    with Violations() as violations:
        found = SourceRelease(
            application=fields.required_application(request, violations),
            expected_etag=request.expected_etag,
            allow_missing=request.allow_missing,
        )
        return found, fields.context_of_release(request, author, violations)


def acquisition(request: AcquireSourceLeaseRequest, actor: str) -> Acquisition:
    with Violations() as violations:
        return Acquisition(
            key=_lease_key(request, actor, violations),
            holder=_holder(request, violations),
            seconds=_lease_seconds(request, violations),
        )


def lease_release(request: ReleaseSourceLeaseRequest, actor: str) -> tuple[LeaseKey, str]:
    """Return the lease and its holder."""
    with Violations() as violations:
        return _lease_key(request, actor, violations), _holder(request, violations)


def _lease_key(
    request: AcquireSourceLeaseRequest | ReleaseSourceLeaseRequest, actor: str, violations: Violations
) -> LeaseKey:
    check_repository(request.repository, "repository", violations)
    check_path(request.path, "path", violations)
    return LeaseKey(actor=actor, repository=request.repository, path=request.path)


def _holder(request: AcquireSourceLeaseRequest | ReleaseSourceLeaseRequest, violations: Violations) -> str:
    check_holder(request.holder, "holder", violations)
    return request.holder


def _lease_seconds(request: AcquireSourceLeaseRequest, violations: Violations) -> float:
    seconds = request.duration.seconds + request.duration.nanos / 1e9
    if not MIN_LEASE_SECONDS <= seconds <= MAX_LEASE_SECONDS:
        violations.add(
            "duration", f"is {seconds:g} s: must be between {MIN_LEASE_SECONDS:g} s and {MAX_LEASE_SECONDS:g} s"
        )
    return seconds


def lease_message(lease: Lease) -> AcquireSourceLeaseResponse:
    """Return the message of a lease."""
    return AcquireSourceLeaseResponse(
        acquired=lease.acquired,
        holder=lease.holder,
        expire_time=timestamp(lease.expire_time),
        remaining=duration(lease.remaining_seconds),
    )
