"""Configurations as messages."""

from configapi.v1.configuration_pb2 import Configuration as ConfigurationMessage
from configapi.v1.configuration_service_pb2 import ConfigurationItem
from configsvc.domain.errors import RecordUnreadableError
from configsvc.domain.models import Configuration
from configsvc.wire.json_fields import set_json
from configsvc.wire.times import timestamp


def configuration_message(
    configuration: Configuration, *, with_config: bool = True, as_text: bool = False
) -> ConfigurationMessage:
    """Return the message of a configuration, without content if it is not wanted or not known.

    `as_text`: the content is JSON text.
    """
    message = ConfigurationMessage(
        id=configuration.id,
        application_id=configuration.application_id,
        application=configuration.application,
        name=configuration.name,
        comments=configuration.comments,
        version=configuration.version,
        revision=configuration.revision,
        create_time=timestamp(configuration.create_time),
        update_time=timestamp(configuration.update_time),
        created_by=configuration.created_by,
        updated_by=configuration.updated_by,
        etag=configuration.etag,
    )
    if configuration.delete_time is not None:
        message.delete_time.CopyFrom(timestamp(configuration.delete_time))
    if configuration.schema is not None:
        message.schema.schema = configuration.schema.schema
        message.schema.version = configuration.schema.version
    if with_config and configuration.config is not None:
        set_content(message, configuration, as_text=as_text)
    return message


def set_content(
    message: ConfigurationMessage | ConfigurationItem, configuration: Configuration, *, as_text: bool
) -> None:
    """Set the content of a configuration that has been read. Raises RecordUnreadableError if it cannot be converted."""
    assert configuration.config is not None
    try:
        set_json(message, "config", configuration.config, as_text=as_text)
    except (ValueError, OverflowError, RecursionError) as error:
        raise _unreadable(configuration) from error


def _unreadable(configuration: Configuration) -> RecordUnreadableError:
    return RecordUnreadableError(
        "configuration",
        f"{configuration.application}:{configuration.name}",
        resource_id=configuration.id,
        application_id=configuration.application_id,
        version=configuration.version,
    )
