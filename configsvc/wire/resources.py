"""Configurations as messages."""

from configapi.v1.configuration_pb2 import Configuration as ConfigurationMessage
from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_pb2 import ConfigurationRef as ConfigurationRefMessage
from configsvc.domain.errors import RecordUnreadableError
from configsvc.domain.models import Configuration, ConfigurationRef, IdRef, KeyRef
from configsvc.wire.content import struct_of
from configsvc.wire.times import timestamp


def configuration_message(configuration: Configuration, *, with_config: bool = True) -> ConfigurationMessage:
    """Return the message of a configuration, without config if it is not wanted or not known."""
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
    )
    if configuration.schema is not None:
        message.schema.schema = configuration.schema.schema
        message.schema.version = configuration.schema.version
    if with_config and configuration.config is not None:
        try:
            message.config.CopyFrom(struct_of(configuration.config))
        except (ValueError, OverflowError) as error:
            raise _unreadable(configuration) from error
    return message


def _unreadable(configuration: Configuration) -> RecordUnreadableError:
    return RecordUnreadableError(
        "configuration",
        f"{configuration.application}:{configuration.name}",
        resource_id=configuration.id,
        application_id=configuration.application_id,
        version=configuration.version,
    )


def encoded_configuration(configuration: Configuration) -> bytes:
    """Return the encoded message of a configuration."""
    return configuration_message(configuration).SerializeToString()


def configuration_ref_message(ref: ConfigurationRef) -> ConfigurationRefMessage:
    """Return the message that names a configuration."""
    match ref:
        case IdRef(id=configuration_id):
            return ConfigurationRefMessage(id=configuration_id)
        case KeyRef(application=application, name=name):
            return ConfigurationRefMessage(key=ConfigurationKey(application=application, name=name))
