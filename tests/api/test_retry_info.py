"""RetryInfo: in the status of an error exactly if the same call may succeed later, with nobody changing anything."""

import re
from pathlib import Path

from google.rpc.error_details_pb2 import RetryInfo
from hypothesis import given
from hypothesis import strategies as st

from configsvc.api.statuses import TRANSLATIONS, internal_status, reason_of, status_of
from configsvc.domain import errors
from tests.api.test_status_sizes import batches, detail, simple, violations

ERRORS = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
# What passes by itself: load, locks, an outage, other watches of the process.
RETRIED = {
    "DATABASE_BUSY",
    "DATABASE_UNAVAILABLE",
    "IDENTITY_PROVIDER_UNAVAILABLE",
    "OUT_OF_DESCRIPTORS",
    "RATE_LIMITED",
    "SHUTTING_DOWN",
    "TOO_MANY_WATCHES",
    "WRITE_CONFLICT",
}


def of_kind(kind: type[errors.ConfigsvcError]) -> st.SearchStrategy[errors.ConfigsvcError]:
    """Return errors of the kind."""
    if kind in simple:
        return simple[kind]
    if kind is errors.BatchFailedError:
        return batches
    if issubclass(kind, errors.FaultyRequestError):
        return st.builds(kind, st.tuples(violations))
    return st.builds(kind)


@given(st.sampled_from(list(TRANSLATIONS)).flatmap(of_kind))
def test_a_status_tells_when_to_retry_exactly_if_the_same_call_may_succeed_later(error: errors.ConfigsvcError) -> None:
    retry = detail(status_of(error), RetryInfo)
    assert (retry is not None) == (reason_of(error) in RETRIED)
    assert retry is None or retry.retry_delay.ToNanoseconds() >= 0


def test_an_internal_error_does_not_ask_for_a_retry() -> None:
    assert detail(internal_status("0" * 26), RetryInfo) is None


def test_the_reference_names_retry_info_for_the_same_reasons() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| [A-Z_]+ \|.*\| ([^|]*) \|$", ERRORS.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {reason for reason, advice in rows if "`RetryInfo.retry_delay`" in advice} == RETRIED
