"""Requests for watches. The parser raises InvalidRequestError with every fault."""

import re

from google.protobuf.duration_pb2 import Duration

from configapi.v1.configuration_service_pb2 import HistoryPosition, WatchConfigurationsRequest
from configapi.v1.configuration_service_pb2 import WatchInstance as WatchInstanceMessage
from configsvc.domain.errors import Violations
from configsvc.domain.names import check_text
from configsvc.domain.scope import Scope
from configsvc.domain.selection import Selection
from configsvc.domain.watching import After, ContentForm, Snapshot, WatchInstance, WatchRequest
from configsvc.wire.fields import non_negative, wants_config
from configsvc.wire.json_fields import wants_json
from configsvc.wire.moments import MAX_EPOCH_LENGTH, epoch
from configsvc.wire.selectors import name_selector

MAX_SELECTORS = 100
MAX_LABELS = 32
MAX_LABEL_KEY_LENGTH = 63
MAX_INSTANCE_TEXT_LENGTH = 256
DEFAULT_PROGRESS_SECONDS = 10.0
LEAST_PROGRESS_SECONDS = 0.1
MOST_PROGRESS_SECONDS = 3600.0

_MAX_REVISION = 2**63 - 1
_RESUME_TOKEN = re.compile(
    rf"(?P<epoch>[0-9A-Za-z._-]{{1,{MAX_EPOCH_LENGTH}}}):(?P<revision>0|[1-9][0-9]{{0,18}})", re.ASCII
)


def watch_request(request: WatchConfigurationsRequest, scope: Scope) -> WatchRequest:
    with Violations() as violations:
        if len(request.selectors) > MAX_SELECTORS:
            violations.add("selectors", f"has {len(request.selectors)} items: at most {MAX_SELECTORS} are allowed")
        return WatchRequest(
            selection=Selection(
                scope=scope,
                selectors=tuple(
                    name_selector(selector, f"selectors[{index}]", "a watch yet", violations)
                    for index, selector in enumerate(request.selectors[:MAX_SELECTORS])
                ),
            ),
            start=_start(request, violations),
            progress_interval_seconds=_progress_interval(request, violations),
            form=_form(request, violations),
            instance=_instance(request.instance, violations) if request.HasField("instance") else None,
        )


def _start(request: WatchConfigurationsRequest, violations: Violations) -> Snapshot | After:
    match request.WhichOneof("start"):
        case "resume_token":
            return _position_of(request.resume_token, violations)
        case "history":
            return _history_position(request.history, violations)
        case "snapshot" | None:
            revision = non_negative(request.snapshot.min_revision, "snapshot.min_revision", violations)
            return Snapshot(min_revision=revision)


def _position_of(token: str, violations: Violations) -> After:
    """Return the position that a resume token names. It is whole: a part of it would be another position."""
    found = _RESUME_TOKEN.fullmatch(token)
    if found and int(found["revision"]) <= _MAX_REVISION:
        return After(epoch=found["epoch"], revision=int(found["revision"]))
    fault = "is not one that a watch has sent" if token else "is empty"
    violations.add("resume_token", f"{fault}: send the last one that you received, or set no start to get a snapshot")
    return After(epoch="", revision=0)


def _history_position(position: HistoryPosition, violations: Violations) -> After:
    if not position.epoch:
        violations.add("history.epoch", "is required: a revision means something else in another history")
    return After(
        epoch=epoch(position.epoch, violations, field="history.epoch"),
        revision=non_negative(position.after_revision, "history.after_revision", violations),
    )


def _progress_interval(request: WatchConfigurationsRequest, violations: Violations) -> float:
    if not request.HasField("progress_interval"):
        return DEFAULT_PROGRESS_SECONDS
    seconds = _seconds(request.progress_interval)
    if not LEAST_PROGRESS_SECONDS <= seconds <= MOST_PROGRESS_SECONDS:
        violations.add("progress_interval", f"is {seconds:g} s: must be between 0.1 s and 3600 s")
    return seconds


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _form(request: WatchConfigurationsRequest, violations: Violations) -> ContentForm:
    as_json = wants_json(request.format, violations)
    if not wants_config(request.view, violations):
        return ContentForm.ABSENT
    return ContentForm.JSON if as_json else ContentForm.STRUCT


def _instance(message: WatchInstanceMessage, violations: Violations) -> WatchInstance:
    for name, text in (("id", message.id), ("program", message.program), ("version", message.version)):
        check_text(text, f"instance.{name}", MAX_INSTANCE_TEXT_LENGTH, violations)
    if len(message.labels) > MAX_LABELS:
        violations.add("instance.labels", f"has {len(message.labels)} items: at most {MAX_LABELS} are allowed")
    labels = tuple(sorted(message.labels.items()))
    for key, value in labels[:MAX_LABELS]:
        check_text(key, "instance.labels", MAX_LABEL_KEY_LENGTH, violations)
        check_text(value, f"instance.labels[{key[:MAX_LABEL_KEY_LENGTH]}]", MAX_INSTANCE_TEXT_LENGTH, violations)
    return WatchInstance(id=message.id, labels=labels, program=message.program, version=message.version)
