"""Every error fits into the trailers that nginx takes by default, and says how much it left out."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from configapi.v1.batch_failure_pb2 import BatchFailure
from configapi.v1.error_reason_pb2 import ErrorReason as Reason
from configsvc.api.status_sizes import MAX_WIRE_BYTES, wire_bytes
from configsvc.api.statuses import TRANSLATIONS, internal_status, status_of
from configsvc.domain import errors
from configsvc.rpc.failures import failure_of

Detail = TypeVar("Detail", bound=Message)

# What a client sent may be quoted in any of them.
texts = st.one_of(
    st.text(max_size=20),
    st.text(min_size=1, max_size=20).map(lambda text: text * 100),
    st.sampled_from(["x" * 513, "ä" * 256, "日" * 300, "😀" * 300, "%" * 400, "\n" * 400, "\0" * 400]),
)
numbers = st.integers(0, 2**63 - 1)
violations = st.builds(errors.Violation, field=texts, description=texts)
# One after the other is drawn too slowly.
many_violations = st.tuples(st.lists(violations, max_size=5), st.integers(1, 25)).map(
    lambda drawn: tuple(drawn[0] * drawn[1])
)
faulty = st.one_of(
    st.builds(errors.InvalidRequestError, many_violations, numbers),
    st.builds(errors.SchemaViolatedError, many_violations, numbers),
)
simple: dict[type[errors.ConfigsvcError], st.SearchStrategy[errors.ConfigsvcError]] = {
    errors.ResourceNotFoundError: st.builds(errors.ResourceNotFoundError, texts, texts),
    errors.ResourceExistsError: st.builds(errors.ResourceExistsError, texts, texts),
    errors.RecordUnreadableError: st.builds(
        errors.RecordUnreadableError, texts, texts, resource_id=texts, application_id=texts, version=numbers
    ),
    errors.ApplicationNotEmptyError: st.builds(errors.ApplicationNotEmptyError, texts, texts),
    errors.FormatUnsuitableError: st.builds(errors.FormatUnsuitableError, texts, texts),
    errors.LastAdminError: st.builds(errors.LastAdminError, texts, texts),
    errors.OperationRunningError: st.builds(errors.OperationRunningError, texts, texts),
    errors.SourceMismatchError: st.builds(
        errors.SourceMismatchError, texts, repository=texts, path=texts, commit=texts
    ),
    errors.SourceNotAdoptedError: st.builds(errors.SourceNotAdoptedError, texts, texts),
    errors.OperationCancelledError: st.builds(errors.OperationCancelledError, texts),
    errors.ItemsFailedError: st.builds(errors.ItemsFailedError, numbers),
    errors.AttemptsExhaustedError: st.builds(errors.AttemptsExhaustedError, numbers),
    errors.VersionMismatchError: st.builds(errors.VersionMismatchError, expected=numbers, current=numbers),
    errors.RequestIdReusedError: st.builds(errors.RequestIdReusedError, texts),
    errors.PreconditionFailedError: st.builds(
        errors.PreconditionFailedError, index=st.integers(0, 99), since=numbers, changed_revision=numbers
    ),
    errors.RevisionUnknownError: st.builds(
        errors.RevisionUnknownError, head=numbers, revision=numbers, time=st.sampled_from([None, datetime.now(UTC)])
    ),
    errors.RevisionCompactedError: st.builds(errors.RevisionCompactedError, compacted_revision=numbers),
    errors.EpochChangedError: st.builds(errors.EpochChangedError, expected=texts, current=st.text(max_size=100)),
    errors.ResponseTooLargeError: st.builds(errors.ResponseTooLargeError, limit=numbers),
    errors.UnauthenticatedError: st.builds(errors.UnauthenticatedError, texts),
    errors.PermissionDeniedError: st.builds(errors.PermissionDeniedError, texts),
    errors.IdentityProviderUnavailableError: st.builds(
        errors.IdentityProviderUnavailableError, retry_seconds=st.floats(0, 3600)
    ),
    errors.RateLimitedError: st.builds(errors.RateLimitedError, texts, retry_seconds=st.floats(0, 3600)),
    errors.TooManyWatchesError: st.builds(errors.TooManyWatchesError, texts),
    errors.SchemaInUseError: st.builds(errors.SchemaInUseError, texts, st.lists(texts, max_size=100).map(tuple)),
    errors.SchemaVersionRefusedError: st.builds(
        errors.SchemaVersionRefusedError,
        schema=texts,
        offenders=st.lists(texts, max_size=100).map(tuple),
        count=st.integers(100, 100_000),
    ),
}
failures = st.one_of(faulty, *simple.values())
indexes = st.one_of(
    st.sets(st.integers(0, 999), min_size=1),
    st.tuples(st.integers(1, 9), st.integers(0, 999)).map(
        lambda drawn: {index for index in range(drawn[1], 1000) if index % (drawn[0] + 1)} or {0}
    ),
)
batches = st.tuples(indexes, st.lists(failures, min_size=1, max_size=5)).map(
    lambda drawn: errors.BatchFailedError(
        {index: drawn[1][position % len(drawn[1])] for position, index in enumerate(sorted(drawn[0]))}
    )
)


def detail(status: Status, kind: type[Detail]) -> Detail | None:
    found = kind()
    return found if any(packed.Unpack(found) for packed in status.details) else None


def omitted(status: Status) -> int:
    counted = re.search(r"; and (\d+) more than the details list$", status.message)
    return int(counted[1]) if counted else 0


def listed(status: Status) -> int:
    bad_request, precondition = detail(status, BadRequest), detail(status, PreconditionFailure)
    return len(bad_request.field_violations if bad_request else precondition.violations if precondition else ())


def faults(count: int, text: str) -> tuple[errors.Violation, ...]:
    return tuple(errors.Violation(field=f"config/{number}/{text}", description=text) for number in range(count))


def check_fits(status: Status) -> None:
    assert wire_bytes(status) <= MAX_WIRE_BYTES
    failure = failure_of(status)
    (trailer,) = failure.trailing_metadata
    assert len(trailer[1]) * 4 / 3 + len(failure.message) < MAX_WIRE_BYTES
    info = detail(status, ErrorInfo)
    assert info is not None
    assert (info.domain, status.details[0].TypeName()) == ("configsvc", "google.rpc.ErrorInfo")


@given(failures)
def test_every_error_fits_into_the_trailers(error: errors.ConfigsvcError) -> None:
    check_fits(status_of(error))


@given(batches)
def test_every_failed_batch_fits_and_counts_every_fault(error: errors.BatchFailedError) -> None:
    status = status_of(error)
    check_fits(status)
    bad_request, info = detail(status, BadRequest), detail(status, ErrorInfo)
    assert info is not None
    assert int(info.metadata["failed_count"]) == len(error.failures)
    all_faults = sum(
        len(failure.violations) + failure.omitted if isinstance(failure, errors.FaultyRequestError) else 1
        for failure in error.failures.values()
    )
    assert listed(status) + omitted(status) == all_faults
    assert bad_request is not None or omitted(status) == all_faults
    failed = detail(status, BatchFailure)
    assert failed is not None
    assert len(failed.failures) + failed.omitted_count == len(error.failures)
    assert [one.index for one in failed.failures] == sorted(error.failures)[: len(failed.failures)]


@given(faulty)
def test_faults_are_listed_from_the_first_on_and_the_others_are_counted(error: errors.FaultyRequestError) -> None:
    status = status_of(error)
    check_fits(status)
    assert listed(status) + omitted(status) == len(error.violations) + error.omitted
    assert (listed(status) > 0) == bool(error.violations)
    bad_request = detail(status, BadRequest)
    for given_fault, shown in zip(error.violations, bad_request.field_violations if bad_request else (), strict=False):
        for whole, part in ((given_fault.field, shown.field), (given_fault.description, shown.description)):
            assert whole.startswith(part.removesuffix("…"))


@given(texts, st.lists(texts, min_size=1, max_size=100))
def test_offenders_are_listed_from_the_first_on_and_the_others_are_counted(schema: str, names: list[str]) -> None:
    error = errors.SchemaVersionRefusedError(schema=schema, offenders=tuple(names), count=4711)
    status = status_of(error)
    check_fits(status)
    assert listed(status) >= 1
    assert listed(status) + omitted(status) == 4711
    info = detail(status, ErrorInfo)
    assert info is not None
    assert info.metadata == {"offender_count": "4711"}


def test_every_kind_of_error_is_generated() -> None:
    kinds = {
        *simple,
        errors.InvalidRequestError,
        errors.UnsupportedFieldError,
        errors.SchemaViolatedError,
        errors.BatchFailedError,
    }
    for kind in set(TRANSLATIONS) - kinds:
        check_fits(status_of(kind()))
    check_fits(internal_status("0" * 26))


def test_failed_writes_come_from_the_first_on_with_their_reasons_and_versions() -> None:
    error = errors.BatchFailedError(
        {
            7: errors.VersionMismatchError(expected=2, current=3),
            4: errors.ResourceExistsError("configuration", "日" * 300),
            5: errors.InvalidRequestError(faults(2, "is required")),
        }
    )
    failed = detail(status_of(error), BatchFailure)
    assert failed is not None
    assert [(one.index, one.reason, one.current_version) for one in failed.failures] == [
        (4, Reason.ERROR_REASON_RESOURCE_EXISTS, 0),
        (5, Reason.ERROR_REASON_INVALID_REQUEST, 0),
        (7, Reason.ERROR_REASON_VERSION_MISMATCH, 3),
    ]
    assert len(failed.failures[0].message) <= 200
    assert failed.failures[2].message == str(error.failures[7])
    assert failed.omitted_count == 0


@pytest.mark.parametrize("count", [1, 40, 1000])
def test_failed_writes_and_their_faults_share_the_room(count: int) -> None:
    failures = dict.fromkeys(range(count), errors.VersionMismatchError(expected=2**62, current=2**62 + 1))
    status = status_of(errors.BatchFailedError(failures))
    check_fits(status)
    failed = detail(status, BatchFailure)
    assert failed is not None
    assert len(failed.failures) + failed.omitted_count == count
    assert [one.index for one in failed.failures] == list(range(len(failed.failures)))
    assert len(failed.failures) >= min(count, 8)
    assert listed(status) >= min(count, 8)


@pytest.mark.parametrize("names", [("a", "b"), ("a" * 256, "b" * 256)])
def test_a_name_that_fits_is_never_shortened(names: Sequence[str]) -> None:
    name = "/".join(names)
    for error in (
        errors.ResourceNotFoundError("configuration", name),
        errors.OperationRunningError("configuration", name),
        errors.SchemaInUseError(name, ("configuration shop/web",) * 100),
    ):
        info = detail(status_of(error), ResourceInfo)
        assert info is not None
        assert info.resource_name == name


def test_a_client_is_told_when_to_retry_however_long_the_text() -> None:
    retry = detail(status_of(errors.RateLimitedError("日" * 10_000, retry_seconds=1.5)), RetryInfo)
    assert retry is not None
    assert retry.retry_delay.ToNanoseconds() == 1_500_000_000


def test_an_error_that_fits_leaves_nothing_out() -> None:
    status = status_of(errors.InvalidRequestError(faults(10, "is required")))
    assert (listed(status), status.message.count("more")) == (10, 0)
