"""What a request expects of the resource that it changes."""

from typing import TypeAlias

from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.configuration_service_pb2 import (
    ConfigurationChangeItem,
    ConfigurationDeletionItem,
    ConfigurationItem,
    DeleteConfigurationRequest,
    RollbackConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.schema_service_pb2 import CreateSchemaVersionRequest, DeleteSchemaRequest
from configsvc.domain.errors import Violations
from configsvc.domain.expectations import Expectation
from configsvc.wire.fields import non_negative, path_of

AnyExpecting: TypeAlias = (
    UpdateApplicationRequest
    | DeleteApplicationRequest
    | CreateSchemaVersionRequest
    | DeleteSchemaRequest
    | UpdateConfigurationRequest
    | DeleteConfigurationRequest
    | RollbackConfigurationRequest
    | ConfigurationItem
    | ConfigurationChangeItem
    | ConfigurationDeletionItem
)


def expectation(message: AnyExpecting, etag: str, violations: Violations, *, field: str = "") -> Expectation:
    """Return the expected version of a request, or of the part of it in `field`, and the etag that it carries."""
    version = None
    if message.HasField("expected_version"):
        version = non_negative(message.expected_version, path_of(field, "expected_version"), violations)
    return Expectation(version=version, etag=etag)
