"""What a request expects of the resource that it changes."""

from typing import TypeAlias

from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configsvc.domain.errors import Violations
from configsvc.domain.expectations import Expectation
from configsvc.wire.fields import non_negative

AnyExpecting: TypeAlias = UpdateApplicationRequest | DeleteApplicationRequest


def expectation(request: AnyExpecting, etag: str, violations: Violations) -> Expectation:
    """Return the expected version of a request, and the etag that it carries."""
    version = None
    if request.HasField("expected_version"):
        version = non_negative(request.expected_version, "expected_version", violations)
    return Expectation(version=version, etag=etag)
