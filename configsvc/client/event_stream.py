"""A watch over HTTP, without I/O: server-sent events and JSON into messages and ends.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from configsvc.client.engine import DOMAIN, MOST_BYTES, End, Event, Message
from configsvc.client.json_text import list_of, object_of, raw, read
from configsvc.client.view import Configuration

# By their numbers, from google/rpc/code.proto.
_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
# Contents stay the text that the service has stored.
_RESPONSE = object_of({"events": list_of(object_of({"configuration": object_of({"config": raw})}))})


class ServerEvent(NamedTuple):
    """A server-sent event."""

    name: str
    data: str


class EventParser:
    """Bytes, however they are divided, into events. Comments and unknown fields are left out."""

    def __init__(self) -> None:
        # The beginning of a line whose end has not come.
        self._rest = bytearray()
        self._size = 0
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Take bytes, and yield the events that they complete. Raises ValueError if one is too large, or not UTF-8."""
        self._size += len(chunk)
        if self._size > MOST_BYTES:
            raise ValueError(f"an event has more than {MOST_BYTES} bytes")
        *lines, rest = chunk.split(b"\n")
        for end in lines:
            line = bytes(self._rest + end) if self._rest else end
            self._rest.clear()
            yield from self._take(_text_of(line.removesuffix(b"\r")))
        self._rest += rest

    def _take(self, line: str) -> Iterator[ServerEvent]:
        if not line:
            if self._data:
                yield ServerEvent(self._name, "\n".join(self._data))
            self._name, self._data, self._size = "", [], 0
            return
        field, _, value = line.partition(":")
        if field == "event":
            self._name = value.removeprefix(" ")
        elif field == "data":
            self._data.append(value.removeprefix(" "))


def _text_of(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        # Without the line: it may be a content.
        raise ValueError("it is not UTF-8") from None


def received(event: ServerEvent) -> Message | End:
    """Return what an event says. Raises ValueError if it cannot be read."""
    if event.name == "error":
        return end_of(event.data)
    answer = read(event.data, _RESPONSE)
    try:
        return _message_of(answer)
    except (TypeError, LookupError, AttributeError, ValueError, OverflowError):
        # Without the cause: it may quote a content.
        raise ValueError("it is no message of a watch") from None


def _message_of(answer: Mapping[str, Any]) -> Message:
    return Message(
        token=answer.get("resume_token", ""),
        revision=int(answer.get("revision", 0)),
        epoch=answer.get("epoch", ""),
        events=tuple(
            _event_of(one) for one in answer.get("events", ()) if one.get("effect") in {"EFFECT_SET", "EFFECT_REMOVE"}
        ),
        synced=answer.get("synced", False),
        interval_seconds=_seconds(answer.get("opened", {}).get("progress_interval", "0s")),
    )


def _event_of(event: Mapping[str, Any]) -> Event:
    found, origin = event["configuration"], event.get("origin", {})
    schema = found.get("schema", {})
    configuration = Configuration(
        id=found.get("id", ""),
        name=found.get("name", ""),
        version=int(found.get("version", 0)),
        revision=int(found.get("revision", 0)),
        text=found.get("config", ""),
        schema=schema.get("schema", ""),
        schema_version=int(schema.get("version", 0)),
        updated_by=found.get("updated_by", ""),
    )
    removes = event["effect"] == "EFFECT_REMOVE"
    return Event(
        removes=removes, configuration=configuration, actor=origin.get("actor", ""), reason=origin.get("reason", "")
    )


def end_of(text: str) -> End:
    """Return the end that a google.rpc.Status says. Raises ValueError if it is none."""
    try:
        return _end_of(json.loads(text))
    except (TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("it is no google.rpc.Status") from error


def _end_of(status: Mapping[str, Any]) -> End:
    code, reason, retry_seconds = _CODES[int(status["code"])], "", 0.0
    for detail in status.get("details", ()):
        kind = detail["@type"].rpartition(".")[2]
        if kind == "ErrorInfo" and detail.get("domain") == DOMAIN:
            reason = detail.get("reason", "")
        elif kind == "RetryInfo":
            retry_seconds = _seconds(detail.get("retry_delay", "0s"))
    text = f"{reason or code}: {status.get('message', '')}"
    return End(code=code, reason=reason, text=text, retry_seconds=retry_seconds)


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
