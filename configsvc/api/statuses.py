"""Domain errors as google.rpc.Status: one table for every transport."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
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

from configapi.v1.error_reason_pb2 import ErrorReason as Reason
from configsvc.domain import errors

DOMAIN = "configsvc"
# A status travels in the trailers. Many clients reject trailers above 8 KiB and would see another error.
MAX_TEXT_BYTES = 300
MAX_VIOLATIONS_BYTES = 4900
# For the indexes of up to 1,000 writes of a batch.
MAX_INDEXES_BYTES = 2100


@dataclass(frozen=True, slots=True)
class Translation:
    """One kind of error as a status. `metadata` returns the attributes for ErrorInfo."""

    code: Code
    reason: Reason.ValueType
    details: Callable[[Any], Iterable[Message]] = lambda _: ()
    metadata: Callable[[Any], dict[str, str]] = lambda _: {}


def _bad_request(error: errors.FaultyRequestError) -> Iterable[Message]:
    bad_request = BadRequest()
    for violation in error.violations:
        field = _shortened(violation.field, MAX_TEXT_BYTES)
        bad_request.field_violations.add(field=field, description=_shortened(violation.description, MAX_TEXT_BYTES))
        if bad_request.ByteSize() > MAX_VIOLATIONS_BYTES:
            del bad_request.field_violations[-1]
            break
    yield bad_request


def _shortened(text: str, limit: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def _resource_info(error: errors.ResourceError) -> Iterable[Message]:
    yield ResourceInfo(resource_type=error.resource_type, resource_name=error.resource_name, description=str(error))


def _resource_state(kind: str) -> Callable[[errors.ResourceError], Iterable[Message]]:
    def details(error: errors.ResourceError) -> Iterable[Message]:
        yield from _resource_info(error)
        yield _precondition(kind, error.resource_name, error)

    return details


def _users(error: errors.SchemaInUseError) -> Iterable[Message]:
    yield from _resource_info(error)
    yield _preconditions("SCHEMA_IN_USE", error.users, error)


def _offenders(error: errors.SchemaVersionRefusedError) -> Iterable[Message]:
    yield _preconditions("SCHEMA_VERSION_REFUSED", error.offenders, error)


def _preconditions(kind: str, subjects: Iterable[str], error: Exception) -> PreconditionFailure:
    failure = PreconditionFailure()
    for subject in subjects:
        failure.violations.add(type=kind, subject=_shortened(subject, MAX_TEXT_BYTES))
        if failure.ByteSize() > MAX_VIOLATIONS_BYTES - MAX_TEXT_BYTES:
            del failure.violations[-1]
            break
    for violation in failure.violations[:1]:
        violation.description = str(error)
    return failure


def _failed_writes(error: errors.BatchFailedError) -> Iterable[Message]:
    """Yield a violation for each failed write; invalid writes have one for each faulty field."""
    bad_request = BadRequest()
    for index, failure in error.failures.items():
        violations = failure.violations if isinstance(failure, errors.FaultyRequestError) else ()
        faults = [(f"writes[{index}].{fault.field}", fault.description) for fault in violations]
        for field, description in faults or [(f"writes[{index}]", str(failure))]:
            bad_request.field_violations.add(
                field=_shortened(field, MAX_TEXT_BYTES), description=_shortened(description, MAX_TEXT_BYTES)
            )
            if bad_request.ByteSize() > MAX_VIOLATIONS_BYTES - MAX_INDEXES_BYTES:
                del bad_request.field_violations[-1]
                yield bad_request
                return
    yield bad_request


def _ranges(indexes: Iterable[int]) -> str:
    """Format indexes as ranges, such as 0-3,17: a thousand of them take at most 2,000 bytes."""
    ranges: list[list[int]] = []
    for index in sorted(indexes):
        if ranges and ranges[-1][-1] == index - 1:
            ranges[-1][1:] = [index]
        else:
            ranges.append([index])
    return ",".join("-".join(map(str, ends)) for ends in ranges)


def _slow_down(error: errors.RateLimitedError) -> Iterable[Message]:
    yield from _quota("calls")(error)
    yield from _later(error)


def _later(error: errors.RateLimitedError | errors.IdentityProviderUnavailableError) -> Iterable[Message]:
    delay = Duration()
    delay.FromNanoseconds(round(error.retry_seconds * 1e9))
    yield RetryInfo(retry_delay=delay)


def _precondition(kind: str, subject: str, error: Exception) -> PreconditionFailure:
    violation = PreconditionFailure.Violation(type=kind, subject=subject, description=str(error))
    return PreconditionFailure(violations=[violation])


def _quota(subject: str) -> Callable[[Exception], Iterable[Message]]:
    def details(error: Exception) -> Iterable[Message]:
        yield QuotaFailure(violations=[QuotaFailure.Violation(subject=subject, description=str(error))])

    return details


def _retry(seconds: int) -> Callable[[Exception], Iterable[Message]]:
    return lambda _: [RetryInfo(retry_delay=Duration(seconds=seconds))]


TRANSLATIONS: dict[type[errors.ConfigsvcError], Translation] = {
    errors.InvalidRequestError: Translation(Code.INVALID_ARGUMENT, Reason.ERROR_REASON_INVALID_REQUEST, _bad_request),
    errors.ResourceNotFoundError: Translation(Code.NOT_FOUND, Reason.ERROR_REASON_RESOURCE_NOT_FOUND, _resource_info),
    errors.ResourceExistsError: Translation(Code.ALREADY_EXISTS, Reason.ERROR_REASON_RESOURCE_EXISTS, _resource_info),
    errors.ApplicationNotEmptyError: Translation(
        Code.FAILED_PRECONDITION, Reason.ERROR_REASON_APPLICATION_NOT_EMPTY, _resource_state("APPLICATION_NOT_EMPTY")
    ),
    errors.SchemaViolatedError: Translation(Code.INVALID_ARGUMENT, Reason.ERROR_REASON_SCHEMA_VIOLATED, _bad_request),
    errors.SchemaVersionRefusedError: Translation(
        Code.FAILED_PRECONDITION,
        Reason.ERROR_REASON_SCHEMA_VERSION_REFUSED,
        _offenders,
        metadata=lambda error: {"offender_count": str(error.count)},
    ),
    errors.SchemaInUseError: Translation(Code.FAILED_PRECONDITION, Reason.ERROR_REASON_SCHEMA_IN_USE, _users),
    errors.BatchFailedError: Translation(
        Code.FAILED_PRECONDITION,
        Reason.ERROR_REASON_BATCH_FAILED,
        _failed_writes,
        metadata=lambda error: {"failed_writes": _ranges(error.failures)},
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
    errors.WriteTooLargeError: Translation(
        Code.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_WRITE_TOO_LARGE, _quota("write")
    ),
    errors.DatabaseBusyError: Translation(Code.UNAVAILABLE, Reason.ERROR_REASON_DATABASE_BUSY, _retry(1)),
    errors.WriteConflictError: Translation(Code.ABORTED, Reason.ERROR_REASON_WRITE_CONFLICT, _retry(1)),
    errors.DatabaseUnavailableError: Translation(Code.UNAVAILABLE, Reason.ERROR_REASON_DATABASE_UNAVAILABLE, _retry(2)),
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
        Code.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_TOO_MANY_WATCHES, _quota("watches")
    ),
    errors.ShuttingDownError: Translation(Code.UNAVAILABLE, Reason.ERROR_REASON_SHUTTING_DOWN, _retry(1)),
}


def status_of(error: errors.ConfigsvcError) -> Status:
    """Return the status of the error."""
    translation = TRANSLATIONS[type(error)]
    info = _error_info(translation.reason, translation.metadata(error))
    return _status(translation.code, str(error), [info, *translation.details(error)])


def internal_status(error_id: str) -> Status:
    """Return a status that reveals only an id to quote to the operator."""
    info = _error_info(Reason.ERROR_REASON_INTERNAL, {"error_id": error_id})
    return _status(Code.INTERNAL, f"internal error {error_id}", [info])


def _error_info(reason: Reason.ValueType, metadata: dict[str, str]) -> ErrorInfo:
    name = Reason.Name(reason).removeprefix("ERROR_REASON_")
    return ErrorInfo(reason=name, domain=DOMAIN, metadata=metadata)


def _status(code: Code, text: str, details: Iterable[Message]) -> Status:
    message = _shortened(text, MAX_TEXT_BYTES)
    return Status(code=code, message=message, details=[_packed(detail) for detail in details])


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
