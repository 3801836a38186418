"""The history of configurations: versions and differences."""

from configapi.v1.change_pb2 import (
    CHANGE_TYPE_CREATED,
    CHANGE_TYPE_DELETED,
    CHANGE_TYPE_UPDATED,
    ChangeOrigin,
    ChangeType,
)
from configapi.v1.configuration_service_pb2 import ConfigurationVersion as ConfigurationVersionMessage
from configapi.v1.configuration_service_pb2 import DiffConfigurationVersionsResponse
from configsvc.domain.content import encode_json
from configsvc.domain.differences import Comparison
from configsvc.domain.errors import FormatUnsuitableError
from configsvc.domain.models import ConfigurationVersion, Operation
from configsvc.wire.content import fill_list
from configsvc.wire.resources import fill_configuration
from configsvc.wire.times import timestamp

CHANGE_TYPES: dict[Operation, ChangeType.ValueType] = {
    Operation.CREATED: CHANGE_TYPE_CREATED,
    Operation.UPDATED: CHANGE_TYPE_UPDATED,
    Operation.DELETED: CHANGE_TYPE_DELETED,
}


def version_message(version: ConfigurationVersion, *, as_text: bool) -> ConfigurationVersionMessage:
    """Return the message of a version."""
    configuration = version.configuration
    message = ConfigurationVersionMessage(
        type=CHANGE_TYPES[version.operation],
        origin=ChangeOrigin(
            actor=configuration.updated_by,
            reason=version.reason,
            request_id=version.request_id,
            change_request=version.change_request,
            commit_time=timestamp(configuration.update_time),
        ),
    )
    fill_configuration(message.configuration, configuration, as_text=as_text)
    return message


def comparison_message(comparison: Comparison, *, as_text: bool) -> DiffConfigurationVersionsResponse:
    """Return the message of the differences between two versions.

    Raises FormatUnsuitableError if a ListValue cannot hold the patch.
    """
    message = DiffConfigurationVersionsResponse(
        text=comparison.text,
    )
    fill_configuration(message.from_configuration, comparison.before, with_config=False)
    fill_configuration(message.to_configuration, comparison.after, with_config=False)
    if as_text:
        message.patch_json = encode_json(comparison.patch)
        return message
    try:
        fill_list(message.patch, comparison.patch)
    except OverflowError as error:
        newer = comparison.after
        raise FormatUnsuitableError("comparison", f"{newer.application}:{newer.name}") from error
    return message
