"""Resources as messages."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from configapi.v1.application_pb2 import Application as ApplicationMessage
from configapi.v1.configuration_pb2 import Configuration as ConfigurationMessage
from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_pb2 import ConfigurationRef as ConfigurationRefMessage
from configsvc.domain.models import Application, Configuration, ConfigurationRef, IdRef, KeyRef
from configsvc.wire.content import struct_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(time: datetime) -> Timestamp:
    """The message of a time."""
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def application_message(application: Application) -> ApplicationMessage:
    """The message of an application."""
    return ApplicationMessage(
        id=application.id,
        name=application.name,
        comments=application.comments,
        version=application.version,
        revision=application.revision,
        create_time=timestamp(application.create_time),
        update_time=timestamp(application.update_time),
    )


def configuration_message(configuration: Configuration, *, with_config: bool = True) -> ConfigurationMessage:
    """The message of a configuration; config is left out where it is not wanted or not there."""
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
        message.config.CopyFrom(struct_of(configuration.config))
    return message


def encoded_configuration(configuration: Configuration) -> bytes:
    """The bytes of a configuration's message."""
    return configuration_message(configuration).SerializeToString()


def configuration_ref_message(ref: ConfigurationRef) -> ConfigurationRefMessage:
    """The message that names a configuration."""
    match ref:
        case IdRef(id=configuration_id):
            return ConfigurationRefMessage(id=configuration_id)
        case KeyRef(application=application, name=name):
            return ConfigurationRefMessage(key=ConfigurationKey(application=application, name=name))
