"""Statuses of failed requests over HTTP."""

from typing import Any

import httpx
from google.protobuf.json_format import ParseDict
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

JSON = {"content-type": "application/json"}


def status_in(response: httpx.Response) -> Status:
    """Return the google.rpc.Status in an answer."""
    assert response.headers["content-type"] == "application/json", response.text[:300]
    return ParseDict(response.json(), Status())


def reason_in(response: httpx.Response) -> str:
    """Return the reason of an answer with an error."""
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in status_in(response).details), response.text
    return info.reason


def violations_in(response: httpx.Response) -> list[tuple[str, str]]:
    """Return the fields at fault, in order, with their descriptions."""
    assert response.status_code == 400, response.text
    assert status_in(response).code == Code.INVALID_ARGUMENT
    found: Any = BadRequest()
    assert any(detail.Unpack(found) for detail in status_in(response).details), response.text
    return [(violation.field, violation.description) for violation in found.field_violations]


def fields_in(response: httpx.Response) -> list[str]:
    """Return the fields at fault, in order."""
    return [field for field, _ in violations_in(response)]
