"""Watches: the request, and encoded messages, which all streams of an audience share.

The parser raises InvalidRequestError with every fault.
"""

import json
from collections.abc import Iterator

from google.protobuf.struct_pb2 import Struct

from configapi.v1.configuration_service_pb2 import (
    ConfigurationEvent,
    WatchConfigurationsRequest,
    WatchConfigurationsResponse,
)
from configapi.v1.selector_pb2 import ConfigurationSelector
from configsvc.domain.errors import Violations, unreadable_revision
from configsvc.domain.models import ConfigurationChange
from configsvc.domain.names import check_configuration_name, check_name_prefix
from configsvc.domain.scope import Scope
from configsvc.domain.selection import EventType, Selection, Selector
from configsvc.domain.watching import CommitMessage, ExistingMessage, ProgressMessage, WatchRequest
from configsvc.wire.content import struct_of
from configsvc.wire.fields import application_ref, non_negative, wants_config
from configsvc.wire.moments import epoch
from configsvc.wire.resources import configuration_message
from configsvc.wire.responses import grouped

MAX_SELECTORS = 100
_UNSUPPORTED = frozenset({"schema", "contains", "contains_json", "json_path"})
MAX_SELECTOR_NAMES = 1000
DEFAULT_PROGRESS_SECONDS = 10.0
LEAST_PROGRESS_SECONDS = 0.1
MOST_PROGRESS_SECONDS = 3600.0

_EVENT_TYPES = {event_type: ConfigurationEvent.Type.Value(f"TYPE_{event_type}") for event_type in EventType}


def watch_request(request: WatchConfigurationsRequest, scope: Scope) -> WatchRequest:
    with Violations() as violations:
        if len(request.selectors) > MAX_SELECTORS:
            violations.add("selectors", f"has {len(request.selectors)} items: at most {MAX_SELECTORS} are allowed")
        after = None
        if request.HasField("after_revision"):
            after = non_negative(request.after_revision, "after_revision", violations)
        return WatchRequest(
            selection=Selection(
                scope=scope,
                selectors=tuple(
                    _selector(selector, f"selectors[{index}]", violations)
                    for index, selector in enumerate(request.selectors[:MAX_SELECTORS])
                ),
            ),
            after_revision=after,
            epoch=epoch(request.epoch, violations),
            progress_interval_seconds=_progress_interval(request, violations),
            with_config=wants_config(request.view, violations),
        )


def _selector(message: ConfigurationSelector, field: str, violations: Violations) -> Selector:
    for part, _ in message.ListFields():
        if part.name in _UNSUPPORTED:
            violations.add(f"{field}.{part.name}", "is not supported in a watch: select by application and names")
    application = None
    if message.HasField("application"):
        application = application_ref(message.application, f"{field}.application", violations)
    if len(message.names) > MAX_SELECTOR_NAMES:
        violations.add(f"{field}.names", f"has {len(message.names)} items: at most {MAX_SELECTOR_NAMES} are allowed")
    for index, name in enumerate(message.names[:MAX_SELECTOR_NAMES]):
        check_configuration_name(name, f"{field}.names[{index}]", violations)
    check_name_prefix(message.name_prefix, f"{field}.name_prefix", violations)
    return Selector(
        application=application,
        name_prefix=message.name_prefix,
        names=frozenset(message.names),
    )


def _progress_interval(request: WatchConfigurationsRequest, violations: Violations) -> float:
    if not request.HasField("progress_interval"):
        return DEFAULT_PROGRESS_SECONDS
    seconds = request.progress_interval.seconds + request.progress_interval.nanos / 1e9
    if not LEAST_PROGRESS_SECONDS <= seconds <= MOST_PROGRESS_SECONDS:
        violations.add("progress_interval", f"is {seconds:g} s: must be between 0.1 s and 3600 s")
    return seconds


def encoded_snapshot(epoch: str, message: ExistingMessage) -> tuple[bytes, ...]:
    """Return the responses that carry a part of a snapshot, each of at most MESSAGE_LIMIT_BYTES."""
    events = (
        ConfigurationEvent(
            type=ConfigurationEvent.TYPE_EXISTING,
            configuration=configuration_message(configuration, with_config=configuration.config is not None),
        )
        for configuration in message.configurations
    )
    return tuple(
        WatchConfigurationsResponse(revision=message.revision, epoch=epoch, events=group, more=True).SerializeToString()
        for group in grouped(events)
    )


def encoded_commit(epoch: str, message: CommitMessage) -> tuple[bytes, ...]:
    """Return the responses that carry a commit, each of at most MESSAGE_LIMIT_BYTES."""
    part = message.part
    bodies = [WatchConfigurationsResponse(events=group).SerializeToString() for group in grouped(_events(message))] or [
        b""
    ]
    # Concatenated, two encoded messages are one message with the fields of both.
    return tuple(
        WatchConfigurationsResponse(
            revision=part.revision, epoch=epoch, more=part.more or number < len(bodies)
        ).SerializeToString()
        + body
        for number, body in enumerate(bodies, start=1)
    )


def _events(message: CommitMessage) -> Iterator[ConfigurationEvent]:
    for index, event_type in message.events:
        yield _event(message.part.changes[index], event_type, with_config=message.with_config)


def _event(change: ConfigurationChange, event_type: EventType, *, with_config: bool) -> ConfigurationEvent:
    deleted = event_type is EventType.DELETED
    configuration = configuration_message(change.configuration)
    if with_config and not deleted:
        configuration.config.CopyFrom(_struct(change))
    if deleted:
        configuration.application_id = change.previous_application_id
        configuration.application = change.previous_application
        configuration.name = change.previous_name
        if change.previous_application_id != change.configuration.application_id:
            # It has moved: its new state is visible only to readers of the other application.
            configuration.ClearField("comments")
            configuration.ClearField("schema")
    return ConfigurationEvent(
        type=_EVENT_TYPES[event_type],
        configuration=configuration,
        previous_version=change.previous_version,
        actor=change.actor,
        reason=change.reason,
    )


def _struct(change: ConfigurationChange) -> Struct:
    assert change.config_text is not None
    try:
        return struct_of(json.loads(change.config_text))
    except (ValueError, OverflowError, RecursionError) as error:
        raise unreadable_revision(change.configuration.revision) from error


def encoded_progress(epoch: str, message: ProgressMessage) -> tuple[bytes, ...]:
    """Return the response that carries a progress message."""
    response = WatchConfigurationsResponse(revision=message.revision, epoch=epoch, synced=message.synced)
    return (response.SerializeToString(),)
