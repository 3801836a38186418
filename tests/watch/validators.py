"""One judge for each promise of the watch. Each checks a recording against the log and raises AssertionError."""

import json

from google.protobuf.struct_pb2 import Struct

from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, Configuration
from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE, ConfigurationEvent, WatchConfigurationsResponse
from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configsvc.domain.models import Operation
from configsvc.wire.history import CHANGE_TYPES
from configsvc.wire.times import timestamp
from tests.service import struct
from tests.watch.history import Change, Expected, History, selected
from tests.watch.recording import Recording, is_bookmark, is_existing

MESSAGE_LIMIT_BYTES = 1024 * 1024


def ordered(recording: Recording) -> None:
    """Check that revisions never go back, and that an event has the revision of its message."""
    revisions = [message.revision for message in recording.messages]
    assert revisions == sorted(revisions), f"revisions go back: {revisions}"
    for message in recording.messages:
        for event in message.events:
            if not is_existing(event):
                assert event.configuration.revision in {message.revision, 0}


def unique(recording: Recording) -> None:
    """Check that no event comes twice, and none that the snapshot had."""
    seen = [(event.configuration.id, event.configuration.version) for event in recording.events]
    assert len(seen) == len(set(seen)), "an event came twice"


def reliable(recording: Recording, history: History) -> None:
    """Check that every change of the selection up to the watch's last revision came, as the log has it."""
    selectors = recording.request.selectors
    live = [event for event in recording.events if not is_existing(event)]
    last = recording.revision
    complete = [event for event in live if event.configuration.revision <= last]
    expected = history.expected(selectors, recording.beginning, last)
    assert [_seen(event) for event in complete] == [_wanted(event) for event in expected]
    for event, wanted in zip(complete, expected, strict=True):
        if wanted.change.commit_time:
            assert event.origin.commit_time == timestamp(wanted.change.commit_time)
        _same_content(recording, event, wanted.change)


def snapshot(recording: Recording, history: History) -> None:
    """Check that the snapshot is the state of the selection at its revision, once each; a resumed watch has none."""
    existing = [event for event in recording.events if is_existing(event)]
    if not begins_with_snapshot(recording):
        assert not existing, "a resumed watch begins without a snapshot"
        return
    if not recording.synced:
        return
    state = history.state_at(recording.beginning)
    wanted = {change.id: change for change in state.values() if selected(change, recording.request.selectors)}
    assert sorted(event.configuration.id for event in existing) == sorted(wanted)
    for event in existing:
        assert (event.previous_version, event.HasField("origin"), event.HasField("previous_key")) == (0, False, False)
        _same_content(recording, event, wanted[event.configuration.id])


def begins_with_snapshot(recording: Recording) -> bool:
    """Return whether the watch was opened without a position in the history."""
    return recording.request.WhichOneof("start") in {None, "snapshot"}


def atomic(recording: Recording, history: History) -> None:
    """Check that a commit's changes are one message or, over a limit, several with `more` on all but the last."""
    steps = recording.steps
    revisions = [step.revision for step in steps if step.events]
    assert len(revisions) == len(set(revisions)), "a commit came in two pieces"
    for step in steps:
        assert {message.revision for message in step.messages} == {step.revision}
        if len(step.messages) > 1 and not step.synced:
            assert history.commit_bytes(step.revision) > MESSAGE_LIMIT_BYTES
        for message in step.messages:
            assert len(message.events) <= 1 or message.ByteSize() <= size_limit(message)


def size_limit(message: WatchConfigurationsResponse) -> int:
    """Return the limit on the events of a message, with a little for each event and for the message itself."""
    return MESSAGE_LIMIT_BYTES + 5 * len(message.events) + 300


def opened_first(recording: Recording) -> None:
    """Check that `opened` is in the first message, and in no other."""
    indexes = [index for index, message in enumerate(recording.messages) if message.HasField("opened")]
    assert indexes == [0] * bool(recording.messages)
    for message in recording.messages[:1]:
        assert not message.events
        assert (message.more, message.synced) == (False, False)
        assert message.revision <= message.opened.head_revision
        assert message.opened.watch_id


def tokens(recording: Recording) -> None:
    """Check that a message has a token exactly if everything up to its revision was delivered with it."""
    for message in recording.messages:
        complete = not message.more and not message.HasField("opened")
        assert message.resume_token == (f"{message.epoch}:{message.revision}" if complete else "")


def synced_once(recording: Recording) -> None:
    """Check that `synced` comes once, without events, and ends the snapshot."""
    indexes = [index for index, message in enumerate(recording.messages) if message.synced]
    assert len(indexes) <= 1
    for index in indexes:
        assert not recording.messages[index].events
        assert not recording.messages[index].more
        assert recording.messages[index].revision >= recording.messages[0].opened.head_revision
    before = recording.messages[1 : indexes[0]] if indexes else recording.messages[1:]
    after = recording.messages[indexes[0] :] if indexes else []
    assert not any(is_existing(event) for message in after for event in message.events)
    if begins_with_snapshot(recording):
        assert all(message.more and message.events for message in before), "the snapshot was interrupted"


def bookmarkable(recording: Recording, history: History) -> None:
    """Check that a bookmark comes after everything up to its revision, and before everything later."""
    delivered = 0
    for message in recording.messages:
        delivered += sum(not is_existing(event) for event in message.events)
        if is_bookmark(message) or message.synced:
            wanted = history.expected(recording.request.selectors, recording.beginning, message.revision)
            assert delivered == len(wanted), f"the bookmark {message.revision} came too early or too late"


def one_epoch(recording: Recording) -> None:
    """Check that every message names the same history."""
    assert len({message.epoch for message in recording.messages}) <= 1
    assert all(message.epoch for message in recording.messages)


def resumable(first: Recording, second: Recording, history: History) -> None:
    """Check that a resumed watch and the one before it are, together, one that was never interrupted."""
    assert second.request.resume_token == first.resume_token
    kept = [*first.messages[:1], *(message for step in first.steps for message in step.messages)]
    more = [message for message in second.messages[1:] if not message.synced]
    joined = Recording(request=first.request, messages=kept + more)
    validate(first, history)
    validate(second, history)
    ordered(joined)
    unique(joined)
    reliable(joined, history)


def validate(recording: Recording, history: History) -> None:
    """Check all promises to one watch."""
    ordered(recording)
    unique(recording)
    reliable(recording, history)
    snapshot(recording, history)
    atomic(recording, history)
    opened_first(recording)
    tokens(recording)
    synced_once(recording)
    bookmarkable(recording, history)
    one_epoch(recording)


def _seen(event: ConfigurationEvent) -> tuple[object, ...]:
    configuration = event.configuration
    return (
        configuration.revision,
        configuration.id,
        configuration.version,
        event.effect,
        event.change,
        configuration.application_id,
        configuration.application,
        configuration.name,
        event.previous_version,
        (event.previous_key.application, event.previous_key.name),
        *(event.origin.actor, event.origin.reason, event.origin.request_id, event.origin.change_request),
    )


def _wanted(event: Expected) -> tuple[object, ...]:
    change = event.change
    return (
        change.revision,
        change.id,
        change.version,
        event.effect,
        CHANGE_TYPES[Operation(change.operation)],
        event.application_id,
        event.application,
        event.name,
        change.previous_version,
        event.previous_key,
        *(change.actor, change.reason, change.request_id, change.change_request),
    )


def _same_content(recording: Recording, event: ConfigurationEvent, change: Change) -> None:
    configuration, request = event.configuration, recording.request
    assert configuration.comments == change.comments
    assert (configuration.version, configuration.revision) == (change.version, change.revision)
    with_content = request.view != CONFIGURATION_VIEW_BASIC and event.effect != EFFECT_REMOVE
    wanted = ("config_json" if request.format == CONTENT_FORMAT_JSON else "config") if with_content else None
    assert configuration.WhichOneof("content") == wanted
    if wanted:
        assert change.config is not None
        assert _content(configuration) == struct(change.config)


def _content(configuration: Configuration) -> Struct:
    if configuration.HasField("config_json"):
        return struct(json.loads(configuration.config_json))
    return configuration.config
