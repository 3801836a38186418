"""The history of configurations: moments, versions and differences."""

from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_DELETED, CHANGE_TYPE_UPDATED, ChangeType
from configapi.v1.configuration_service_pb2 import ConfigurationVersion as ConfigurationVersionMessage
from configapi.v1.configuration_service_pb2 import DiffConfigurationVersionsResponse, GetConfigurationRequest
from configsvc.domain.differences import Comparison
from configsvc.domain.errors import Violations
from configsvc.domain.models import AtRevision, AtTime, AtVersion, ConfigurationVersion, Operation, PastMoment
from configsvc.wire.content import list_value_of
from configsvc.wire.fields import non_negative
from configsvc.wire.resources import configuration_message
from configsvc.wire.times import time_from

CHANGE_TYPES: dict[Operation, ChangeType.ValueType] = {
    Operation.CREATED: CHANGE_TYPE_CREATED,
    Operation.UPDATED: CHANGE_TYPE_UPDATED,
    Operation.DELETED: CHANGE_TYPE_DELETED,
}


def moment(request: GetConfigurationRequest, violations: Violations) -> PastMoment | None:
    """Return the moment at which the configuration is wanted; None: now."""
    match request.WhichOneof("at"):
        case "version":
            if request.version < 1:
                violations.add("version", f"is {request.version}: versions are counted from 1")
            return AtVersion(version=request.version)
        case "as_of_revision":
            return AtRevision(revision=non_negative(request.as_of_revision, "as_of_revision", violations))
        case "as_of_time":
            return AtTime(time=time_from(request.as_of_time, "as_of_time", violations))
        case None:
            return None


def version_message(version: ConfigurationVersion) -> ConfigurationVersionMessage:
    """Return the message of a version."""
    return ConfigurationVersionMessage(
        configuration=configuration_message(version.configuration),
        type=CHANGE_TYPES[version.operation],
        reason=version.reason,
        request_id=version.request_id,
    )


def comparison_message(comparison: Comparison) -> DiffConfigurationVersionsResponse:
    """Return the message of the differences between two versions."""
    return DiffConfigurationVersionsResponse(
        from_configuration=configuration_message(comparison.before, with_config=False),
        to_configuration=configuration_message(comparison.after, with_config=False),
        patch=list_value_of(comparison.patch),
        text=comparison.text,
    )
