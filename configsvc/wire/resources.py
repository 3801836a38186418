"""Configurations as messages."""

from configapi.v1.configuration_pb2 import Configuration as ConfigurationMessage
from configapi.v1.configuration_service_pb2 import ConfigurationItem
from configsvc.domain.errors import RecordUnreadableError
from configsvc.domain.models import Configuration
from configsvc.domain.stored_json import Content
from configsvc.wire.content import fill_struct
from configsvc.wire.times import fill_timestamp


def configuration_message(
    configuration: Configuration, *, with_config: bool = True, as_text: bool = False
) -> ConfigurationMessage:
    """Return the message of a configuration: see `fill_configuration`."""
    message = ConfigurationMessage()
    fill_configuration(message, configuration, with_config=with_config, as_text=as_text)
    return message


def fill_configuration(
    message: ConfigurationMessage, configuration: Configuration, *, with_config: bool = True, as_text: bool = False
) -> None:
    """Set an empty message, usually a field of another one, to a configuration.

    It has no content if that is not wanted or not known. `as_text`: the content is JSON text. Raises
    RecordUnreadableError.
    """
    # One by one: as keyword arguments they take twice as long, and a message in another one would be copied.
    message.id = configuration.id
    message.application_id = configuration.application_id
    message.application = configuration.application
    message.name = configuration.name
    message.comments = configuration.comments
    message.version = configuration.version
    message.revision = configuration.revision
    fill_timestamp(message.create_time, configuration.create_time)
    fill_timestamp(message.update_time, configuration.update_time)
    message.created_by = configuration.created_by
    message.updated_by = configuration.updated_by
    message.etag = configuration.etag
    if configuration.delete_time is not None:
        fill_timestamp(message.delete_time, configuration.delete_time)
    if configuration.schema is not None:
        message.schema.schema = configuration.schema.schema
        message.schema.version = configuration.schema.version
    if with_config and configuration.config is not None:
        set_content(message, configuration.config, configuration, as_text=as_text)


def set_content(
    message: ConfigurationMessage | ConfigurationItem,
    content: Content,
    configuration: Configuration | ConfigurationMessage,
    *,
    as_text: bool,
) -> None:
    """Set the content of a configuration. Raises RecordUnreadableError if it cannot be converted."""
    try:
        if as_text:
            message.config_json = content.text
        elif content.struct is None:
            fill_struct(message.config, content.value)
        else:
            message.config.SetInParent()
            message.config.MergeFromString(content.struct)
    except (ValueError, OverflowError, RecursionError) as error:
        raise _unreadable(configuration) from error


def _unreadable(configuration: Configuration | ConfigurationMessage) -> RecordUnreadableError:
    return RecordUnreadableError(
        "configuration",
        f"{configuration.application}:{configuration.name}",
        resource_id=configuration.id,
        application_id=configuration.application_id,
        version=configuration.version,
    )
