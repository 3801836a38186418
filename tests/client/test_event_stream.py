"""Messages over HTTP and over gRPC are the same to the client, number for number."""

import json
from itertools import pairwise

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st

from configapi.v1.change_pb2 import ChangeOrigin
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    EFFECT_REMOVE,
    EFFECT_SET,
    EFFECT_UNSPECIFIED,
    ConfigurationEvent,
    WatchConfigurationsResponse,
)
from configsvc.client import event_stream
from configsvc.client.engine import End, Message
from configsvc.client.event_stream import EventParser, ServerEvent, end_of, received
from configsvc.client.grpc_transport import _details_of, _message_of
from configsvc.web.events import _event, _failed_event
from demo.files import CORPUS
from tests.domain.jsonschema.corpus import needs_corpus

DIGITS = st.integers(0, 10**30).map(str)
# As they are stored: nothing rounds them, and none is too long.
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.builds("{}.{}e{}".format, DIGITS, DIGITS, st.integers(-400, 400)),
    st.sampled_from(["-0", "-0.0", "1E400", "9" * 5000, "0.1000"]),
)
TEXTS = st.text().map(json.dumps) | st.text(st.characters(exclude_categories=["Cs"])).map(
    lambda text: json.dumps(text, ensure_ascii=False)
)
SPACES = st.sampled_from(["", " ", "\t", "  "])


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.builds("{}{}:{}{}".format, TEXTS, SPACES, SPACES, values)
    return st.lists(members, max_size=4).map(lambda all_: f"{{{' , '.join(all_)}}}")


VALUES = st.recursive(
    NUMBERS | TEXTS | st.sampled_from(["true", "false", "null"]),
    lambda values: objects(values) | st.lists(values, max_size=4).map(lambda all_: f"[{', '.join(all_)} ]"),
    max_leaves=10,
)
CONTENTS = objects(VALUES)
WIDE = st.integers(0, 2**63 - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def events(draw: st.DrawFn) -> ConfigurationEvent:
    configuration = Configuration(
        id=draw(NAMES), name=draw(NAMES), version=draw(WIDE), revision=draw(WIDE), updated_by=draw(NAMES)
    )
    if draw(st.booleans()):
        configuration.config_json = draw(CONTENTS)
    if draw(st.booleans()):
        configuration.schema.schema, configuration.schema.version = draw(NAMES), draw(st.integers(0, 2**31 - 1))
    event = ConfigurationEvent(
        effect=draw(st.sampled_from([EFFECT_UNSPECIFIED, EFFECT_SET, EFFECT_REMOVE])), configuration=configuration
    )
    if draw(st.booleans()):
        event.origin.CopyFrom(ChangeOrigin(actor=draw(NAMES), reason=draw(NAMES)))
    return event


@st.composite
def answers(draw: st.DrawFn) -> WatchConfigurationsResponse:
    answer = WatchConfigurationsResponse(
        resume_token=draw(st.sampled_from(["", "epoch:7"])),
        revision=draw(WIDE),
        epoch=draw(st.sampled_from(["", "epoch"])),
        events=draw(st.lists(events(), max_size=3)),
        more=draw(st.booleans()),
        synced=draw(st.booleans()),
    )
    if draw(st.booleans()):
        answer.opened.progress_interval.FromMilliseconds(draw(st.integers(100, 3_600_000)))
    return answer


def parsed(data: bytes, cuts: list[int]) -> list[ServerEvent]:
    """Return the events of bytes that arrive in pieces."""
    parser, places = EventParser(), sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    return [event for start, end in pairwise(places) for event in parser.feed(data[start:end])]


@settings(max_examples=50)
@given(answers(), st.lists(st.integers(0, 10_000), max_size=6))
def test_a_message_is_the_same_over_both_transports_however_its_bytes_arrive(
    answer: WatchConfigurationsResponse, cuts: list[int]
) -> None:
    frame = b":\n\nretry: 1000\n\n" + _event(answer.SerializeToString()) + b":\n\n"
    (event,) = parsed(frame, cuts)
    assert received(event) == _message_of(answer)


@needs_corpus
def test_contents_of_the_corpus_are_the_same_over_both_transports() -> None:
    for path in sorted(CORPUS.glob("*/valid/*.json")):
        content = json.loads(path.read_text())
        configuration = Configuration(id="a", config_json=json.dumps(content, ensure_ascii=False))
        answer = WatchConfigurationsResponse(
            events=[ConfigurationEvent(effect=EFFECT_SET, configuration=configuration)]
        )
        (event,) = parsed(_event(answer.SerializeToString()), [17, 4711])
        message = received(event)
        assert isinstance(message, Message)
        assert message == _message_of(answer)
        assert message.events[0].configuration.content == content


@given(st.integers(1, 16), NAMES, st.sampled_from(["", "configsvc", "proxy.example"]), st.integers(0, 100_000))
def test_an_error_is_the_same_over_both_transports(code: int, text: str, domain: str, milliseconds: int) -> None:
    status = Status(code=code, message=text)
    if domain:
        detail = AnyMessage()
        detail.Pack(ErrorInfo(domain=domain, reason="SOME_REASON"))
        status.details.append(detail)
    if milliseconds:
        retry, detail = RetryInfo(), AnyMessage()
        retry.retry_delay.FromMilliseconds(milliseconds)
        detail.Pack(retry)
        status.details.append(detail)
    *_, event = parsed(_failed_event(status), [])
    end = received(event)
    assert isinstance(end, End)
    assert (end.reason, end.retry_seconds) == _details_of(status.SerializeToString())
    assert end.text == f"{end.reason or end.code}: {text}"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"code": "x"}', '{"code": 99}', "<html>", '{"code": [1]}', '{"code": 1e999}']
)
def test_what_is_no_status_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"status|JSON|Expecting|invalid|Status"):
        end_of(text)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"events"', '{"events":[{]}', '{"events":[{}', '{"a":1,}', '{"a":1}x', '{"a" 1}', "{a:1}"]
)
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        received(ServerEvent("change", text))


def test_an_event_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MOST_BYTES", 100)
    parser = EventParser()
    for _ in range(10):
        assert len(list(parser.feed(b"data: {}\n\n" + b":" * 50 + b"\n\n"))) == 1
    list(parser.feed(b":" * 100))
    with pytest.raises(ValueError, match="more than 100 bytes"):
        list(parser.feed(b":"))


def test_lines_may_end_as_those_of_windows_and_data_may_have_several() -> None:
    data = b"\xef\xbb\xbf:\r\n\r\nevent: change\r\ndata: a\r\ndata:b\r\nid: 1\r\nunknown\r\n\r\nevent: alone\n\n"
    assert parsed(data, [3, 20]) == [ServerEvent("change", "a\nb")]
