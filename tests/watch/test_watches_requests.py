"""Requests that a watch refuses."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import (
    HistoryPosition,
    SnapshotOptions,
    WatchConfigurationsRequest,
    WatchInstance,
)
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.service import Service, reason_of, violations_of
from tests.watch.changing import selector, watching
from tests.watch.recording import recorded

BAD: dict[str, tuple[Callable[[], WatchConfigurationsRequest], set[str]]] = {
    "after_revision": (lambda: watching(after_revision=-1), {"history.after_revision"}),
    "min_revision": (
        lambda: WatchConfigurationsRequest(snapshot=SnapshotOptions(min_revision=-1)),
        {"snapshot.min_revision"},
    ),
    "selectors": (lambda: watching(*[selector("shop")] * 101), {"selectors"}),
    "application": (
        lambda: watching(ConfigurationSelector(application=ApplicationRef())),
        {"selectors[0].application"},
    ),
    "id": (lambda: watching(selector(), selector(application_id="shop")), {"selectors[1].application.id"}),
    "name": (lambda: watching(selector("a//b")), {"selectors[0].application.name"}),
    "prefix": (lambda: watching(selector(prefix="a b")), {"selectors[0].name_prefix"}),
    "long prefix": (lambda: watching(selector(prefix="a" * 257)), {"selectors[0].name_prefix"}),
    "keys": (lambda: watching(selector(keys=("web",) * 1001)), {"selectors[0].names"}),
    "key": (lambda: watching(selector(keys=("web", "../db", ""))), {"selectors[0].names[1]", "selectors[0].names[2]"}),
    "short interval": (
        lambda: WatchConfigurationsRequest(progress_interval=Duration(nanos=99_999_999)),
        {"progress_interval"},
    ),
    "no interval": (lambda: WatchConfigurationsRequest(progress_interval=Duration()), {"progress_interval"}),
    "negative interval": (
        lambda: WatchConfigurationsRequest(progress_interval=Duration(seconds=-5)),
        {"progress_interval"},
    ),
    "long interval": (
        lambda: WatchConfigurationsRequest(progress_interval=Duration(seconds=3601)),
        {"progress_interval"},
    ),
    "view": (lambda: WatchConfigurationsRequest.FromString(b"\x30\x07"), {"view"}),
    "format": (lambda: WatchConfigurationsRequest.FromString(b"\x38\x07"), {"format"}),
    "epoch": (lambda: WatchConfigurationsRequest(history=HistoryPosition(epoch="x" * 101)), {"history.epoch"}),
    "instance": (
        lambda: WatchConfigurationsRequest(
            instance=WatchInstance(id="x" * 257, program="y" * 257, version="z" * 257, labels={"k" * 64: "v" * 257})
        ),
        {"instance.id", "instance.program", "instance.version", "instance.labels", f"instance.labels[{'k' * 63}]"},
    ),
    "labels": (
        lambda: WatchConfigurationsRequest(instance=WatchInstance(labels={str(n): "" for n in range(33)})),
        {"instance.labels"},
    ),
    "unsupported selectors": (
        lambda: watching(
            ConfigurationSelector(schema=SchemaVersionRef(schema="web")),
            ConfigurationSelector(contains=Struct()),
            ConfigurationSelector(contains_json=""),
            ConfigurationSelector(json_path="$.a > 1"),
        ),
        {"selectors[0].schema", "selectors[1].contains", "selectors[2].contains_json", "selectors[3].json_path"},
    ),
    "all at once": (
        lambda: WatchConfigurationsRequest(
            selectors=[selector("a//b", prefix="!", keys=("",))],
            history=HistoryPosition(epoch="1-1", after_revision=-1),
            progress_interval=Duration(seconds=-1),
        ),
        {
            "selectors[0].application.name",
            "selectors[0].name_prefix",
            "selectors[0].names[0]",
            "history.after_revision",
            "progress_interval",
        },
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_watch_is_refused_with_every_fault(service: Service, name: str) -> None:
    request, fields = BAD[name]
    async with recorded(service, request()) as watch:
        error = await watch.until_error()
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert set(violations_of(error)) == fields
    assert watch.recording.messages == []
    if name == "unsupported selectors":
        assert all("not supported in a watch yet" in fault for fault in violations_of(error).values())


async def test_a_watch_at_the_limits_is_taken(service: Service) -> None:
    request = WatchConfigurationsRequest(
        selectors=[selector("a" * 256, prefix="b" * 256, keys=tuple(f"b{number}" for number in range(1000)))] * 100,
        progress_interval=Duration(seconds=3600),
        instance=WatchInstance(
            id="i" * 256,
            program="p" * 256,
            version="v" * 256,
            labels={f"{number:063}": "ü" * 256 for number in range(32)},
        ),
    )
    async with recorded(service, request) as watch:
        await watch.until_synced()
