"""The pace of bookmarks, and what is counted of a caller's watches and answers."""

from pathlib import Path

import pytest
from grpc import StatusCode

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import CreateApplicationRequest, ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest
from configsvc.domain.content import JsonObject
from configsvc.limits import quotas
from configsvc.limits.pace import Pace
from tests.api.calls import (
    create,
    create_application,
    creation,
    failing,
    list_request,
)
from tests.identity.tokens import bearing, oidc_settings
from tests.rpc.frames import frames
from tests.service import reason_of, running_service
from tests.watch.changing import OFTEN, selector
from tests.watch.recording import Recorder, recorded

LIST = "/configapi.v1.ConfigurationService/ListConfigurations"
# One bookmark, and no other one while a test runs.
SELDOM = 0.0001


def test_moments_lie_apart_and_idle_time_is_not_saved_up() -> None:
    pace = Pace(10)
    assert [pace.next_moment(5.0) for _ in range(3)] == pytest.approx([5.0, 5.1, 5.2])
    assert [pace.next_moment(9.0) for _ in range(2)] == pytest.approx([9.0, 9.1])


async def test_the_watches_of_a_caller_share_its_bookmarks_and_those_of_others_have_theirs(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.limits.slots.BOOKMARKS_PER_SECOND", SELDOM)
    request = WatchConfigurationsRequest(progress_interval=OFTEN)
    async with running_service(database_url, **oidc_settings(tmp_path, admins="user:root,user:other")) as service:
        watches = [Recorder(service, request, metadata=bearing("root")) for _ in range(5)]
        for watch in watches:
            await watch.until_synced()
        other = Recorder(service, request, metadata=bearing("other"))
        await other.until(lambda recording: len(recording.bookmarks) == 1)
        assert sum(len(watch.recording.bookmarks) for watch in watches) <= 1
        for watch in (*watches, other):
            await watch.close()


async def test_all_watches_of_a_process_share_its_bookmarks_and_events_need_none(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr("configsvc.watch.watches.BOOKMARKS_PER_SECOND", SELDOM)
    request = WatchConfigurationsRequest(progress_interval=OFTEN)
    async with (
        running_service(database_url) as slow,
        recorded(slow, request) as first,
        recorded(slow, request) as second,
    ):
        await create_application(slow)
        for watch in (first, second):
            await watch.until_synced()
        for number in range(5):
            created = await create(slow, f"c{number}")
            for watch in (first, second):
                await watch.until_revision(created.revision)
        assert len(first.recording.bookmarks) + len(second.recording.bookmarks) <= 1


async def test_selectors_count_against_a_limit_of_the_caller_until_their_watch_is_closed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "SELECTOR_BYTES_PER_CALLER", 1_000_000)
    monkeypatch.setattr(quotas, "SELECTOR_BYTES_PER_PROCESS", 2_000_000)
    large = WatchConfigurationsRequest(selectors=[selector(keys=tuple(f"web/{number}" for number in range(1000)))])
    async with running_service(
        database_url, **oidc_settings(tmp_path, admins="user:root,user:a,user:b,user:c")
    ) as service:
        watches = [Recorder(service, large, metadata=bearing(name)) for name in ("root", "a", "b")]
        for watch in watches:
            await watch.until_synced()
        for name, whose in (("root", "the caller's"), ("c", "the process's")):
            refused = Recorder(service, large, metadata=bearing(name))
            error = await refused.until_error()
            assert (error.code(), reason_of(error)) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES")
            assert whose in str(error.details())
        small = Recorder(service, WatchConfigurationsRequest(), metadata=bearing("root"))
        await small.until_synced()
        for watch in (*watches, small):
            await watch.close()


async def test_answers_that_are_not_read_count_until_they_are(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "UNREAD_ANSWER_BYTES", 300_000)
    metadata = bearing("root")
    request = list_request(application=ApplicationRef(name="shop"), page_size=1)
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        large: JsonObject = {"text": "x" * 200_000}
        await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=metadata)
        await service.configurations.CreateConfiguration(creation("web", large), metadata=metadata)
        async with frames(service.address, window=0) as client:
            stream = client.begin(LIST, *metadata)
            data = request.SerializeToString()
            await client.send(stream, b"\0" + len(data).to_bytes(4) + data)
            await client.until(lambda: stream in client.answered)
            with failing(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
                await service.configurations.ListConfigurations(request, metadata=metadata)
            await service.applications.ListApplications(ListApplicationsRequest(), metadata=metadata)
            client.open_window()
            await client.until(lambda: stream in client.ended)
            await service.configurations.ListConfigurations(request, metadata=metadata)
