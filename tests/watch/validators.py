"""One judge for each promise of the watch. Each checks a recording against the log and raises AssertionError."""

from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_BASIC, Configuration
from configapi.v1.configuration_service_pb2 import ConfigurationEvent, WatchConfigurationsResponse
from configsvc.wire.content import struct_of
from tests.watch.history import Change, Expected, History, selected
from tests.watch.recording import Recording, is_bookmark

MESSAGE_LIMIT_BYTES = 1024 * 1024


def ordered(recording: Recording) -> None:
    """Check that revisions never go back, and that an event has the revision of its message."""
    revisions = [message.revision for message in recording.messages]
    assert revisions == sorted(revisions), f"revisions go back: {revisions}"
    for message in recording.messages:
        for event in message.events:
            if event.type != ConfigurationEvent.TYPE_EXISTING:
                assert event.configuration.revision in {message.revision, 0}


def unique(recording: Recording) -> None:
    """Check that no event comes twice, and none that the snapshot had."""
    seen = [(event.configuration.id, event.configuration.version) for event in recording.events]
    assert len(seen) == len(set(seen)), "an event came twice"


def reliable(recording: Recording, history: History) -> None:
    """Check that every change of the selection up to the watch's last revision came, as the log has it."""
    selectors = recording.request.selectors
    live = [event for event in recording.events if event.type != ConfigurationEvent.TYPE_EXISTING]
    last = recording.revision
    complete = [event for event in live if event.configuration.revision <= last]
    expected = history.expected(selectors, _beginning(recording), last)
    assert [_seen(event) for event in complete] == [_wanted(event) for event in expected]
    with_config = recording.request.view != CONFIGURATION_VIEW_BASIC
    for event, wanted in zip(complete, expected, strict=True):
        _same_content(
            event.configuration,
            wanted.change,
            with_config=with_config and event.type != ConfigurationEvent.TYPE_DELETED,
        )


def snapshot(recording: Recording, history: History) -> None:
    """Check that the snapshot is the state of the selection at its revision, once each; a resumed watch has none."""
    existing = [event for event in recording.events if event.type == ConfigurationEvent.TYPE_EXISTING]
    if recording.request.HasField("after_revision"):
        assert not existing, "a resumed watch begins without a snapshot"
        return
    if not recording.synced:
        return
    state = history.state_at(_beginning(recording))
    wanted = {change.id: change for change in state.values() if selected(change, recording.request.selectors)}
    assert sorted(event.configuration.id for event in existing) == sorted(wanted)
    with_config = recording.request.view != CONFIGURATION_VIEW_BASIC
    for event in existing:
        assert (event.previous_version, event.actor, event.reason) == (0, "", "")
        _same_content(event.configuration, wanted[event.configuration.id], with_config=with_config)


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
    return MESSAGE_LIMIT_BYTES + 5 * len(message.events) + 200


def synced_once(recording: Recording) -> None:
    """Check that `synced` comes once, without events, and ends the snapshot."""
    indexes = [index for index, message in enumerate(recording.messages) if message.synced]
    assert len(indexes) <= 1
    for index in indexes:
        assert not recording.messages[index].events
        assert not recording.messages[index].more
    before = recording.messages[: indexes[0]] if indexes else recording.messages
    after = recording.messages[indexes[0] :] if indexes else []
    existing = ConfigurationEvent.TYPE_EXISTING
    assert all(event.type != existing for message in after for event in message.events)
    if not recording.request.HasField("after_revision"):
        assert all(message.more and message.events for message in before), "the snapshot was interrupted"


def bookmarkable(recording: Recording, history: History) -> None:
    """Check that a bookmark comes after everything up to its revision, and before everything later."""
    delivered = 0
    for message in recording.messages:
        delivered += sum(event.type != ConfigurationEvent.TYPE_EXISTING for event in message.events)
        if is_bookmark(message) or message.synced:
            wanted = history.expected(recording.request.selectors, _beginning(recording), message.revision)
            assert delivered == len(wanted), f"the bookmark {message.revision} came too early or too late"


def one_epoch(recording: Recording) -> None:
    """Check that every message names the same history."""
    assert len({message.epoch for message in recording.messages}) <= 1
    assert all(message.epoch for message in recording.messages)


def resumable(first: Recording, second: Recording, history: History) -> None:
    """Check that a resumed watch and the one before it are, together, one that was never interrupted."""
    assert second.request.after_revision == first.revision
    kept = [message for step in first.steps for message in step.messages]
    synced = [message for message in second.messages if not message.synced]
    joined = Recording(request=first.request, messages=kept + synced)
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
    synced_once(recording)
    bookmarkable(recording, history)
    one_epoch(recording)


def _beginning(recording: Recording) -> int:
    """Return the revision after which the live events begin: that of the request or of the snapshot."""
    if recording.request.HasField("after_revision"):
        return recording.request.after_revision
    return recording.messages[0].revision if recording.messages else 0


def _seen(event: ConfigurationEvent) -> tuple[object, ...]:
    configuration = event.configuration
    return (
        configuration.revision,
        configuration.id,
        configuration.version,
        event.type,
        configuration.application_id,
        configuration.application,
        configuration.name,
        event.previous_version,
        event.actor,
        event.reason,
    )


def _wanted(event: Expected) -> tuple[object, ...]:
    change = event.change
    return (
        change.revision,
        change.id,
        change.version,
        event.type,
        event.application_id,
        event.application,
        event.name,
        change.previous_version,
        change.actor,
        change.reason,
    )


def _same_content(configuration: Configuration, change: Change, *, with_config: bool) -> None:
    assert configuration.comments == change.comments
    assert (configuration.version, configuration.revision) == (change.version, change.revision)
    if configuration.HasField("config"):
        assert with_config
        assert change.config is not None
        assert configuration.config == struct_of(change.config)
    else:
        assert not with_config
