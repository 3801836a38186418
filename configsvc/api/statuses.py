"""Domain errors as google.rpc.Status: one table for every transport."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat, starmap
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from configapi.v1.batch_failure_pb2 import BatchFailure, FailedWrite
from configapi.v1.error_reason_pb2 import ErrorReason as Reason
from configsvc.api.status_sizes import Listing, fitting_status, shortened
from configsvc.domain import errors

DOMAIN = "configsvc"
MAX_TEXT_BYTES = 300
MAX_FAILED_WRITE_BYTES = 200
# Other watches of the caller or the process may have ended by then.
WATCH_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Translation:
    """One kind of error as a status. `metadata` returns the attributes for ErrorInfo, `listings` the details that can
    be too long.
    """

    code: Code
    reason: Reason.ValueType
    details: Callable[[Any], Iterable[Message]] = lambda _: ()
    metadata: Callable[[Any], dict[str, str]] = lambda _: {}
    listings: Callable[[Any], Sequence[Listing]] = lambda _: ()


def _faults(error: errors.FaultyRequestError) -> Sequence[Listing]:
    entries = (_violation(fault.field, fault.description, fault.reason) for fault in error.violations)
    return (Listing(detail=_bad_request, entries=entries, count=len(error.violations) + error.omitted),)


def _bad_request(violations: list[BadRequest.FieldViolation]) -> BadRequest:
    return BadRequest(field_violations=violations)


def _violation(field: str, description: str, reason: str) -> BadRequest.FieldViolation:
    field, description = shortened(field, MAX_TEXT_BYTES), shortened(description, MAX_TEXT_BYTES)
    return BadRequest.FieldViolation(field=field, description=description, reason=reason)


def _text(error: Exception) -> str:
    return shortened(str(error), MAX_TEXT_BYTES)


def _resource_info(error: errors.ResourceError) -> Iterable[Message]:
    yield ResourceInfo(resource_type=error.resource_type, resource_name=error.resource_name, description=_text(error))


def _resource_state(kind: str) -> Callable[[errors.ResourceError], Iterable[Message]]:
    def details(error: errors.ResourceError) -> Iterable[Message]:
        yield from _resource_info(error)
        yield _precondition(kind, error.resource_name, error)

    return details


def _users(error: errors.SchemaInUseError) -> Sequence[Listing]:
    return _preconditions("SCHEMA_IN_USE", error.users, error, len(error.users))


def _offenders(error: errors.SchemaVersionRefusedError) -> Sequence[Listing]:
    return _preconditions("SCHEMA_VERSION_REFUSED", error.offenders, error, error.count)


def _preconditions(kind: str, subjects: Iterable[str], error: Exception, count: int) -> Sequence[Listing]:
    descriptions = chain((_text(error),), repeat(""))
    entries = (
        PreconditionFailure.Violation(type=kind, subject=subject, description=description)
        for subject, description in zip(subjects, descriptions, strict=False)
    )
    return (Listing(detail=_precondition_failure, entries=entries, count=count),)


def _precondition_failure(violations: list[PreconditionFailure.Violation]) -> PreconditionFailure:
    return PreconditionFailure(violations=violations)


def _failed_writes(error: errors.BatchFailedError) -> Sequence[Listing]:
    """Return the failed writes, and a violation for each; invalid writes have one for each faulty field."""
    failures = sorted(error.failures.items())
    faults = chain.from_iterable(starmap(_faults_of_write, failures))
    return (
        Listing(detail=partial(_batch_failure, len(failures)), entries=starmap(_failed_write, failures), count=0),
        Listing(detail=_bad_request, entries=faults, count=sum(map(_fault_count, error.failures.values()))),
    )


def _batch_failure(count: int, failures: list[FailedWrite]) -> BatchFailure:
    return BatchFailure(failures=failures, omitted_count=count - len(failures))


def _failed_write(index: int, failure: errors.ConfigsvcError) -> FailedWrite:
    return FailedWrite(
        index=index,
        reason=TRANSLATIONS[type(failure)].reason,
        message=shortened(str(failure), MAX_FAILED_WRITE_BYTES),
        current_version=failure.current if isinstance(failure, errors.VersionMismatchError) else 0,
    )


def _faults_of_write(index: int, failure: errors.ConfigsvcError) -> Iterable[Message]:
    if not isinstance(failure, errors.FaultyRequestError):
        return (_violation(f"writes[{index}]", str(failure), reason_of(failure)),)
    return (
        _violation(f"writes[{index}].{fault.field}", fault.description, fault.reason) for fault in failure.violations
    )


def _fault_count(failure: errors.ConfigsvcError) -> int:
    return len(failure.violations) + failure.omitted if isinstance(failure, errors.FaultyRequestError) else 1


def _other_source(error: errors.SourceMismatchError) -> dict[str, str]:
    texts = {"repository": error.repository, "path": error.path, "commit": error.commit}
    return {name: shortened(text, MAX_TEXT_BYTES) for name, text in texts.items()}


def _slow_down(error: errors.RateLimitedError) -> Iterable[Message]:
    yield from _quota("calls")(error)
    yield from _later(error)


def _later(error: errors.RateLimitedError | errors.IdentityProviderUnavailableError) -> Iterable[Message]:
    delay = Duration()
    delay.FromNanoseconds(round(error.retry_seconds * 1e9))
    yield RetryInfo(retry_delay=delay)


def _precondition(kind: str, subject: str, error: Exception) -> PreconditionFailure:
    violation = PreconditionFailure.Violation(type=kind, subject=subject, description=_text(error))
    return PreconditionFailure(violations=[violation])


def _quota(subject: str) -> Callable[[Exception], Iterable[Message]]:
    def details(error: Exception) -> Iterable[Message]:
        yield QuotaFailure(violations=[QuotaFailure.Violation(subject=subject, description=_text(error))])

    return details


def _retry(seconds: int) -> Callable[[Exception], Iterable[Message]]:
    return lambda _: [RetryInfo(retry_delay=Duration(seconds=seconds))]


TRANSLATIONS: dict[type[errors.ConfigsvcError], Translation] = {
    errors.InvalidRequestError: Translation(
        Code.INVALID_ARGUMENT, Reason.ERROR_REASON_INVALID_REQUEST, listings=_faults
    ),
    errors.UnsupportedFieldError: Translation(
        Code.INVALID_ARGUMENT, Reason.ERROR_REASON_UNSUPPORTED_FIELD, listings=_faults
    ),
    errors.ResourceNotFoundError: Translation(Code.NOT_FOUND, Reason.ERROR_REASON_RESOURCE_NOT_FOUND, _resource_info),
    errors.ResourceExistsError: Translation(Code.ALREADY_EXISTS, Reason.ERROR_REASON_RESOURCE_EXISTS, _resource_info),
    errors.RecordUnreadableError: Translation(Code.DATA_LOSS, Reason.ERROR_REASON_RECORD_UNREADABLE, _resource_info),
    errors.ApplicationNotEmptyError: Translation(
        Code.FAILED_PRECONDITION, Reason.ERROR_REASON_APPLICATION_NOT_EMPTY, _resource_state("APPLICATION_NOT_EMPTY")
    ),
    errors.SchemaViolatedError: Translation(
        Code.INVALID_ARGUMENT, Reason.ERROR_REASON_SCHEMA_VIOLATED, listings=_faults
    ),
    errors.SchemaVersionRefusedError: Translation(
        Code.FAILED_PRECONDITION,
        Reason.ERROR_REASON_SCHEMA_VERSION_REFUSED,
        listings=_offenders,
        metadata=lambda error: {"offender_count": str(error.count)},
    ),
    errors.SchemaInUseError: Translation(
        Code.FAILED_PRECONDITION, Reason.ERROR_REASON_SCHEMA_IN_USE, _resource_info, listings=_users
    ),
    errors.BatchFailedError: Translation(
        Code.FAILED_PRECONDITION,
        Reason.ERROR_REASON_BATCH_FAILED,
        listings=_failed_writes,
        metadata=lambda error: {"failed_count": str(len(error.failures))},
    ),
    errors.SourceMismatchError: Translation(
        Code.FAILED_PRECONDITION,
        Reason.ERROR_REASON_SOURCE_MISMATCH,
        _resource_state("SOURCE_MISMATCH"),
        metadata=_other_source,
    ),
    errors.SourceNotAdoptedError: Translation(
        Code.FAILED_PRECONDITION, Reason.ERROR_REASON_SOURCE_NOT_ADOPTED, _resource_state("SOURCE_NOT_ADOPTED")
    ),
    errors.OperationRunningError: Translation(
        Code.FAILED_PRECONDITION, Reason.ERROR_REASON_OPERATION_RUNNING, _resource_state("OPERATION_RUNNING")
    ),
    errors.OperationCancelledError: Translation(
        Code.CANCELLED, Reason.ERROR_REASON_OPERATION_CANCELLED, _resource_info
    ),
    errors.ItemsFailedError: Translation(
        Code.FAILED_PRECONDITION,
        Reason.ERROR_REASON_ITEMS_FAILED,
        metadata=lambda error: {"failed_count": str(error.count)},
    ),
    errors.AttemptsExhaustedError: Translation(
        Code.INTERNAL,
        Reason.ERROR_REASON_ATTEMPTS_EXHAUSTED,
        metadata=lambda error: {"attempt_count": str(error.count)},
    ),
    errors.VersionMismatchError: Translation(
        Code.ABORTED,
        Reason.ERROR_REASON_VERSION_MISMATCH,
        metadata=lambda error: {"current_version": str(error.current)},
    ),
    errors.PreconditionFailedError: Translation(
        Code.ABORTED,
        Reason.ERROR_REASON_PRECONDITION_FAILED,
        metadata=lambda error: {
            "precondition": str(error.index),
            "changed_revision": str(error.changed_revision),
        },
    ),
    errors.RequestIdReusedError: Translation(
        Code.FAILED_PRECONDITION,
        Reason.ERROR_REASON_REQUEST_ID_REUSED,
        lambda error: [_precondition("REQUEST_ID_REUSED", "request_id", error)],
    ),
    errors.RevisionUnknownError: Translation(
        Code.OUT_OF_RANGE,
        Reason.ERROR_REASON_REVISION_UNKNOWN,
        metadata=lambda error: {"head_revision": str(error.head)},
    ),
    errors.RevisionCompactedError: Translation(
        Code.OUT_OF_RANGE,
        Reason.ERROR_REASON_REVISION_COMPACTED,
        metadata=lambda error: {"compacted_revision": str(error.compacted_revision)},
    ),
    errors.EpochChangedError: Translation(
        Code.OUT_OF_RANGE, Reason.ERROR_REASON_EPOCH_CHANGED, metadata=lambda error: {"current_epoch": error.current}
    ),
    errors.FilterTooSlowError: Translation(
        Code.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_FILTER_TOO_SLOW, _quota("filter")
    ),
    errors.ResponseTooLargeError: Translation(
        Code.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_RESPONSE_TOO_LARGE, _quota("response")
    ),
    errors.FormatUnsuitableError: Translation(
        Code.FAILED_PRECONDITION, Reason.ERROR_REASON_FORMAT_UNSUITABLE, _resource_state("FORMAT_UNSUITABLE")
    ),
    errors.WriteTooLargeError: Translation(
        Code.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_WRITE_TOO_LARGE, _quota("write")
    ),
    errors.DatabaseBusyError: Translation(Code.UNAVAILABLE, Reason.ERROR_REASON_DATABASE_BUSY, _retry(1)),
    errors.WriteConflictError: Translation(Code.ABORTED, Reason.ERROR_REASON_WRITE_CONFLICT, _retry(1)),
    errors.DatabaseUnavailableError: Translation(Code.UNAVAILABLE, Reason.ERROR_REASON_DATABASE_UNAVAILABLE, _retry(2)),
    errors.OutOfDescriptorsError: Translation(Code.UNAVAILABLE, Reason.ERROR_REASON_OUT_OF_DESCRIPTORS, _retry(2)),
    errors.UnauthenticatedError: Translation(Code.UNAUTHENTICATED, Reason.ERROR_REASON_UNAUTHENTICATED),
    errors.IdentityProviderUnavailableError: Translation(
        Code.UNAVAILABLE, Reason.ERROR_REASON_IDENTITY_PROVIDER_UNAVAILABLE, _later
    ),
    errors.PermissionDeniedError: Translation(Code.PERMISSION_DENIED, Reason.ERROR_REASON_PERMISSION_DENIED),
    errors.LastAdminError: Translation(
        Code.FAILED_PRECONDITION, Reason.ERROR_REASON_LAST_ADMIN, _resource_state("LAST_ADMIN")
    ),
    errors.RateLimitedError: Translation(Code.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_RATE_LIMITED, _slow_down),
    errors.TooManyWatchesError: Translation(
        Code.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_TOO_MANY_WATCHES,
        lambda error: (*_quota("watches")(error), *_retry(WATCH_RETRY_SECONDS)(error)),
    ),
    errors.ShuttingDownError: Translation(Code.UNAVAILABLE, Reason.ERROR_REASON_SHUTTING_DOWN, _retry(1)),
}


def status_of(error: errors.ConfigsvcError) -> Status:
    """Return the status of the error, small enough for the trailers of a call."""
    translation = TRANSLATIONS[type(error)]
    info = _error_info(translation.reason, translation.metadata(error))
    details = tuple(translation.details(error))
    return fitting_status(translation.code, str(error), info, details, translation.listings(error))


def reason_of(error: errors.ConfigsvcError) -> str:
    """Return the reason that clients see in the ErrorInfo of the error."""
    return _reason_name(TRANSLATIONS[type(error)].reason)


def internal_status(error_id: str) -> Status:
    """Return a status that reveals only an id to quote to the operator."""
    info = _error_info(Reason.ERROR_REASON_INTERNAL, {"error_id": error_id})
    return fitting_status(Code.INTERNAL, f"internal error {error_id}", info, (), ())


def _error_info(reason: Reason.ValueType, metadata: dict[str, str]) -> ErrorInfo:
    return ErrorInfo(reason=_reason_name(reason), domain=DOMAIN, metadata=metadata)


def _reason_name(reason: Reason.ValueType) -> str:
    return Reason.Name(reason).removeprefix("ERROR_REASON_")
