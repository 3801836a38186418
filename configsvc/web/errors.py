"""A google.rpc.Status as an HTTP answer, under the status that googleapis give each code."""

from dataclasses import replace
from typing import TypeVar

from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from configsvc.domain.errors import BatchFailedError, FaultyRequestError
from configsvc.web.exchange import Headers
from configsvc.web.messages import TEXT_SUFFIX, json_text

Error = TypeVar("Error", bound=BaseException)

# From google/rpc/code.proto.
HTTP_STATUSES: dict[int, int] = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
}


def in_json(error: Error) -> Error:
    """Return an error that names contents as JSON does: the service takes their text, in a field of another name."""
    named = error
    if isinstance(error, FaultyRequestError):
        violations = tuple(replace(fault, field=_in_json(fault.field)) for fault in error.violations)
        named = type(error)(violations, error.omitted)
    elif isinstance(error, BatchFailedError):
        named = type(error)({index: in_json(failure) for index, failure in error.failures.items()})
    named.__cause__ = error.__cause__
    return named


def _in_json(field: str) -> str:
    name, pointer, rest = field.partition("/")
    return f"{name.removesuffix(TEXT_SUFFIX)}{pointer}{rest}"


def error_body(status: Status) -> bytes:
    """Return the body of an answer with the error."""
    return json_text(status).encode()


def error_headers(status: Status) -> Headers:
    """Return the headers that say how to go on."""
    headers: Headers = [(b"cache-control", b"no-store")]
    if status.code == Code.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    retry = RetryInfo()
    if any(detail.Unpack(retry) for detail in status.details):
        seconds = retry.retry_delay.seconds + (retry.retry_delay.nanos > 0)
        headers.append((b"retry-after", str(max(seconds, 1)).encode()))
    return headers
