"""Messages of watches, encoded: all streams of an audience share them."""

from collections.abc import Iterator

from configapi.v1.change_pb2 import ChangeOrigin
from configapi.v1.configuration_pb2 import Configuration as ConfigurationMessage
from configapi.v1.configuration_pb2 import ConfigurationKey
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    ConfigurationEvent,
    WatchConfigurationsResponse,
    WatchOpened,
)
from configsvc.domain.errors import unreadable_revision
from configsvc.domain.models import Configuration, ConfigurationChange, Operation
from configsvc.domain.selection import Effect
from configsvc.domain.stored_json import value_of
from configsvc.domain.watching import CommitMessage, ContentForm, ExistingMessage, OpenedMessage, ProgressMessage
from configsvc.wire.content import fill_struct
from configsvc.wire.history import CHANGE_TYPES
from configsvc.wire.resources import fill_configuration
from configsvc.wire.responses import grouped
from configsvc.wire.times import duration, fill_timestamp


def resume_token(epoch: str, revision: int) -> str:
    """Return the token with which a watch resumes after the revision, at any process."""
    return f"{epoch}:{revision}"


def encoded_opened(epoch: str, message: OpenedMessage) -> tuple[bytes, ...]:
    """Return the first response of a watch. Nothing was delivered by then, so it has no token."""
    opened = WatchOpened(
        progress_interval=duration(message.progress_interval_seconds),
        head_revision=message.head,
        compacted_revision=message.compacted_revision,
        watch_id=message.watch_id,
    )
    response = WatchConfigurationsResponse(revision=message.revision, epoch=epoch, opened=opened)
    return (response.SerializeToString(),)


def encoded_snapshot(epoch: str, message: ExistingMessage) -> tuple[bytes, ...]:
    """Return the responses that carry a part of a snapshot, each of at most MESSAGE_LIMIT_BYTES.

    Raises RecordUnreadableError.
    """
    events = (_existing(configuration, message.form) for configuration in message.configurations)
    return tuple(
        WatchConfigurationsResponse(revision=message.revision, epoch=epoch, events=group, more=True).SerializeToString()
        for group in grouped(events)
    )


def _existing(configuration: Configuration, form: ContentForm) -> ConfigurationEvent:
    event = ConfigurationEvent(effect=EFFECT_SET)
    fill_configuration(
        event.configuration,
        configuration,
        with_config=form is not ContentForm.ABSENT,
        as_text=form is ContentForm.JSON,
    )
    return event


def encoded_commit(epoch: str, message: CommitMessage) -> tuple[bytes, ...]:
    """Return the responses that carry a commit, each of at most MESSAGE_LIMIT_BYTES."""
    part = message.part
    bodies = [WatchConfigurationsResponse(events=group).SerializeToString() for group in grouped(_events(message))] or [
        b""
    ]
    last = len(bodies) - 1
    # Concatenated, two encoded messages are one message with the fields of both.
    return tuple(
        _envelope(epoch, part.revision, more=part.more or number < last) + body for number, body in enumerate(bodies)
    )


def _envelope(epoch: str, revision: int, *, more: bool) -> bytes:
    token = "" if more else resume_token(epoch, revision)
    return WatchConfigurationsResponse(
        resume_token=token, revision=revision, epoch=epoch, more=more
    ).SerializeToString()


def _events(message: CommitMessage) -> Iterator[ConfigurationEvent]:
    for index, effect in message.events:
        change = message.part.changes[index]
        event = _removal(change) if effect is Effect.REMOVE else _setting(change, message)
        event.change = CHANGE_TYPES[change.operation]
        event.previous_version = change.previous_version
        _fill_origin(event.origin, change)
        yield event


def _setting(change: ConfigurationChange, message: CommitMessage) -> ConfigurationEvent:
    event = ConfigurationEvent(effect=EFFECT_SET)
    fill_configuration(event.configuration, change.configuration)
    match message.form:
        case ContentForm.STRUCT:
            _fill_content(event.configuration, change)
        case ContentForm.JSON:
            assert change.config_text is not None
            event.configuration.config_json = change.config_text
        case ContentForm.ABSENT:
            pass
    if _is_renamed(change) and message.scope.includes(change.previous_application_id):
        event.previous_key.CopyFrom(
            ConfigurationKey(application=change.previous_application, name=change.previous_name)
        )
    return event


def _is_renamed(change: ConfigurationChange) -> bool:
    now = change.configuration
    return change.operation is Operation.UPDATED and (
        (change.previous_name, change.previous_application) != (now.name, now.application)
    )


def _removal(change: ConfigurationChange) -> ConfigurationEvent:
    """Return the event of a configuration that is gone for the watch, under the last names that it sent."""
    event = ConfigurationEvent(effect=EFFECT_REMOVE)
    configuration = event.configuration
    fill_configuration(configuration, change.configuration)
    configuration.application_id = change.previous_application_id
    configuration.application = change.previous_application
    configuration.name = change.previous_name
    if change.previous_application_id != change.configuration.application_id:
        # It has moved: its new state is visible only to readers of the other application.
        configuration.ClearField("comments")
        configuration.ClearField("schema")
    return event


def _fill_origin(message: ChangeOrigin, change: ConfigurationChange) -> None:
    message.actor = change.actor
    message.reason = change.reason
    message.request_id = change.request_id
    message.change_request = change.change_request
    fill_timestamp(message.commit_time, change.configuration.update_time)


def _fill_content(message: ConfigurationMessage, change: ConfigurationChange) -> None:
    assert change.config_text is not None
    try:
        fill_struct(message.config, value_of(change.config_text))
    except (ValueError, OverflowError, RecursionError) as error:
        raise unreadable_revision(change.configuration.revision) from error


def encoded_progress(epoch: str, message: ProgressMessage) -> tuple[bytes, ...]:
    """Return the response that carries a progress message."""
    response = WatchConfigurationsResponse(
        resume_token=resume_token(epoch, message.revision),
        revision=message.revision,
        epoch=epoch,
        synced=message.synced,
    )
    return (response.SerializeToString(),)
