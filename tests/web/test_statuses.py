"""Errors over HTTP: the google.rpc.Status as JSON, under the HTTP status that googleapis give its code."""

import json
import re
from importlib.resources import files

from google.protobuf.json_format import MessageToDict, Parse
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st

from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.api.statuses import TRANSLATIONS, internal_status, status_of
from configsvc.domain.errors import ConfigsvcError
from configsvc.web.errors import HTTP_STATUSES, error_body, error_headers
from tests.api.test_retry_info import of_kind
from tests.api.test_status_sizes import detail


def test_each_code_has_the_status_that_googleapis_give_it() -> None:
    # Its comments are the only place that says so.
    text = files("google.rpc").joinpath("code.proto").read_text(encoding="utf-8")
    mapped = re.findall(r"HTTP Mapping: (\d+)[^=]*?\n\s*([A-Z_]+) = (\d+);", text)
    assert len(mapped) == len(Code.values())
    assert {Code.Value(name): int(status) for status, name, _ in mapped if name != "OK"} == HTTP_STATUSES


def check(status: Status) -> None:
    body = error_body(status)
    # Packed maps have no order.
    assert MessageToDict(Parse(body, Status())) == MessageToDict(status)
    # Every detail is readable, not just bytes.
    assert all("@type" in found and "value" not in found for found in json.loads(body)["details"])
    headers = dict(error_headers(status))
    assert headers[b"cache-control"] == b"no-store"
    assert (b"www-authenticate" in headers) == (status.code == Code.UNAUTHENTICATED)
    retry = detail(status, RetryInfo)
    assert (b"retry-after" in headers) == (retry is not None)
    if retry:
        assert int(headers[b"retry-after"]) >= max(1, retry.retry_delay.ToNanoseconds() / 1e9)


@settings(max_examples=20)
@given(st.tuples(*map(of_kind, TRANSLATIONS)))
def test_every_reason_is_answered_as_the_json_of_its_status_with_its_details(
    errors: tuple[ConfigsvcError, ...],
) -> None:
    statuses = [*map(status_of, errors), internal_status("0" * 26)]
    for status in statuses:
        check(status)
        assert HTTP_STATUSES[status.code] >= 400
    reasons = {info.reason for status in statuses if (info := detail(status, ErrorInfo))}
    assert reasons == {name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED"
    }
