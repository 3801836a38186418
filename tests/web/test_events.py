"""Watches over server-sent events."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from configapi.v1.content_pb2 import CONTENT_FORMAT_JSON
from configapi.v1.server_service_pb2 import ListWatchesRequest
from configsvc.domain.access import Role
from configsvc.web import events
from tests.access.people import Person, as_, make, unbind, until_known
from tests.app.scraping import measured_service
from tests.identity.tokens import oidc_settings
from tests.robustness import validators
from tests.robustness.clients import End, Life, Stream, watch_of
from tests.service import POLL_SECONDS, Service, running_service
from tests.storage.reading import Session, head
from tests.watch.changing import create, fill, selector, watching
from tests.watch.history import read_history
from tests.watch.recording import recorded, resumed
from tests.web.event_streams import Answer, BrokenError, Event, answer, connection, requested
from tests.web.event_streams import head as request_head
from tests.web.watching import LIMIT_SECONDS, WATCH, end_of, path_of, recorded_events

READER = Person(name="reader", role=Role.VIEWER, application="shop")
QUIET = path_of(progress_interval="3600s")
HUGE = 250_000


def bearer(person: Person) -> dict[str, str]:
    return dict(as_(person))


async def until_watches(service: Service, count: int, metadata: Any = ()) -> None:
    """Wait until the process has that many open watches."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while len((await service.server.ListWatches(ListWatchesRequest(), metadata=metadata)).watches) != count:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)


async def test_each_message_is_an_event_by_name_whose_id_is_its_resume_token(http: Service, psql: Session) -> None:
    await create(http, "before")
    async with requested(http.http_address, path_of(progress_interval="0.1s")) as watch:
        assert watch.headers["content-type"] == "text/event-stream"
        assert watch.headers["cache-control"] == "no-store"
        began = await watch.until("synced")
        await create(http, "after")
        followed = await watch.until("change")
        bookmark = (await watch.until("bookmark"))[-1]
    assert [event.name for event in began] == ["opened", "snapshot", "synced"]
    assert [event.id for event in began[:2]] == ["", ""]
    for event in (began[-1], followed[-1], bookmark):
        assert event.id == event.json["resume_token"]
    assert bookmark.id == followed[-1].id
    assert 1000 <= (watch.parser.retry or 0) <= 1500


@pytest.mark.parametrize("by", ["last-event-id", "resume_token"])
async def test_a_watch_resumes_after_the_id_of_the_last_event(http: Service, by: str) -> None:
    async with requested(http.http_address, WATCH) as first:
        (*_, synced) = await first.until("synced")
    await create(http, "meanwhile")
    path = path_of(resume_token=synced.id) if by == "resume_token" else WATCH
    headers = {"last-event-id": synced.id} if by == "last-event-id" else {}
    async with requested(http.http_address, path, headers=headers) as second:
        opened, change, again = await second.until("synced")
    assert opened.name == "opened"
    assert [one["configuration"]["name"] for one in change.json["events"]] == ["meanwhile"]
    assert again.id == change.id


async def test_a_last_event_id_beside_another_start_is_refused(http: Service) -> None:
    async with requested(http.http_address, WATCH) as first:
        (*_, synced) = await first.until("synced")
    headers = {"last-event-id": synced.id}
    same = path_of(resume_token=synced.id)
    async with requested(http.http_address, same, headers=headers) as watch:
        await watch.until("synced")
    starts = {
        "resume_token": path_of(resume_token=synced.id + "0"),
        "snapshot": path_of(**{"snapshot.min_revision": "0"}),
        "history": path_of(**{"history.epoch": "1-1", "history.after_revision": "0"}),
    }
    for start, path in starts.items():
        async with requested(http.http_address, path, headers=headers) as refused:
            assert refused.status == 400
            (violation,) = violations(await refused.json())
            assert violation["field"] == "last-event-id"
            assert start in violation["description"]


def violations(status: dict[str, Any]) -> list[dict[str, Any]]:
    (found,) = [detail["field_violations"] for detail in status["details"] if "field_violations" in detail]
    return found


async def test_contents_are_sent_as_they_are_stored(http: Service, psql: Session) -> None:
    texts = ['{"z": 3, "a": [1.5, 1e3], "text": "line\\n\\u2028\\u0000".}'.replace("\\u0000", "").replace(".}", "}")]
    request = watching()
    request.format = CONTENT_FORMAT_JSON
    for number, text in enumerate(texts):
        await psql.execute(
            "INSERT INTO configurations (application, name, config) VALUES ('shop', $1, $2)", f"c{number}", text
        )
    async with recorded(http, request) as stored, requested(http.http_address, WATCH) as watch:
        await stored.until_synced()
        snapshot = (await watch.until("synced"))[1]
        await psql.execute("""UPDATE configurations SET config = '{"b":\n 3.0, "aa": 12345678901, "a": {}}'""")
        (change,) = await watch.until("change")
        recording = await stored.until_revision(await head(psql))
    before, after = (event.configuration.config_json for event in recording.events)
    assert f'"config":{before}' in snapshot.data
    assert f'"config":{after}' in change.data
    assert json.loads(after) == {"b": 3.0, "aa": 12345678901, "a": {}}


async def test_a_watch_by_selectors_is_asked_for_with_post(http: Service, psql: Session) -> None:
    request = watching(selector("shop", prefix="web"), selector("bank"))
    async with recorded_events(http.http_address, request) as watch:
        await watch.until_synced()
        await create(http, "db")
        await create(http, "web1")
        recording = await watch.until_revision(await head(psql))
    assert [event.configuration.name for event in recording.events] == ["web1"]


async def test_what_a_stream_of_events_has_is_what_the_log_has(http: Service, psql: Session, database_url: str) -> None:
    await fill(psql, 700, prefix="old")
    async with recorded_events(http.http_address, watch_of()) as watch:
        await watch.until_synced()
        await fill(psql, 30, size=100_000)
        await psql.execute("UPDATE configurations SET name = 'new' || name WHERE name LIKE 'old0000%'")
        await psql.execute("DELETE FROM configurations WHERE name LIKE 'c%'")
        first = await watch.until_revision(await head(psql))
    await create(http, "meanwhile")
    async with recorded_events(http.http_address, resumed(first)) as watch:
        second = await watch.until_revision(await head(psql))
        # Of a large commit, and of none.
        assert any(message.more for message in first.messages)
    broken = End(code=StatusCode.UNAVAILABLE, reason="")
    life = Life(streams=[Stream(recording=first, end=broken), Stream(recording=second, end=broken)])
    validators.judge(life, await read_history(database_url))


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (path_of(resume_token="x"), 400, "INVALID_REQUEST"),
        (path_of(resume_token="1-1-1-1-1:1"), 400, "EPOCH_CHANGED"),
        (path_of(progress_interval="1ms"), 400, "INVALID_REQUEST"),
        (path_of(**{"snapshot.min_revision": "1000"}), 400, "REVISION_UNKNOWN"),
        (path_of(nonsense="1"), 400, "UNSUPPORTED_FIELD"),
    ],
)
async def test_an_error_before_the_first_message_is_an_answer_with_its_own_status(
    http: Service, path: str, status: int, reason: str
) -> None:
    async with requested(http.http_address, path) as refused:
        assert refused.status == status
        assert refused.headers["content-type"] == "application/json"
        assert end_of(await refused.json())[1] == reason


async def test_a_watch_beyond_the_limit_is_refused_with_a_time_to_come_back(psql: Session, database_url: str) -> None:
    async with (
        running_service(database_url, http_listen="127.0.0.1:0", watches_per_process=1) as service,
        requested(service.http_address, WATCH) as first,
    ):
        await first.until("synced")
        async with requested(service.http_address, WATCH) as second:
            assert second.status == 429
            assert int(second.headers["retry-after"]) >= 1
            assert end_of(await second.json())[1] == "TOO_MANY_WATCHES"
        first.leave()
        await until_watches(service, 0)
        async with requested(service.http_address, WATCH) as third:
            await third.until("synced")


async def test_a_server_that_ends_says_so_in_the_last_event(psql: Session, database_url: str) -> None:
    async with (
        running_service(database_url, http_listen="127.0.0.1:0") as service,
        requested(service.http_address, WATCH) as watch,
    ):
        await watch.until("synced")
        service.stop.set()
        *_, last = await watch.rest()
    assert last.name == "error"
    assert end_of(last.json) == (StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert (watch.parser.retry or 0) >= 1000


@pytest.mark.parametrize("method", ["HEAD"])
@pytest.mark.parametrize("path", [WATCH, path_of(wait="1s"), "/api/v1/configurations:export"])
async def test_a_stream_answers_no_head(http: Service, method: str, path: str) -> None:
    async with connection(http.http_address) as (reader, writer):
        for _ in range(2):
            writer.write(request_head(method, path, {}))
            refused = await answer(reader, writer)
            assert refused.status == 405
            assert "get" in refused.headers["allow"]


async def test_a_client_that_leaves_ends_its_watch_and_leaves_no_task(http: Service) -> None:
    await until_watches(http, 0)
    tasks = len(asyncio.all_tasks())
    async with requested(http.http_address, QUIET) as watch:
        await watch.until("synced")
        await until_watches(http, 1)
        watch.leave()
        # The next bookmark is an hour away.
        await until_watches(http, 0)
    async with asyncio.timeout(LIMIT_SECONDS):
        while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(POLL_SECONDS)


async def test_a_client_that_leaves_with_a_request_behind_its_watch_ends_it(
    http: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "COMMENT_SECONDS", 0.05)
    async with requested(http.http_address, path_of(progress_interval="0.1s")) as watch:
        await watch.until("synced")
        watch.writer.write(request_head("GET", "/api/v1/status", {}))
        await watch.until("bookmark")
        watch.leave()
        await until_watches(http, 0)


async def test_a_watch_is_listed_with_the_address_of_its_client(http: Service) -> None:
    async with requested(http.http_address, WATCH) as watch:
        await watch.until("synced")
        (listed,) = (await http.server.ListWatches(ListWatchesRequest())).watches
    host, port = watch.writer.get_extra_info("sockname")
    assert listed.peer == f"ipv4:{host}:{port}"


async def test_a_quiet_stream_sends_comments(http: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_SECONDS", 0.05)
    async with requested(http.http_address, QUIET) as watch:
        seen: list[Event] = []
        async with asyncio.timeout(LIMIT_SECONDS):
            async for chunk in watch.chunks():
                seen.extend(watch.parser.feed(chunk.decode()))
                if watch.parser.comments == 3:
                    break
    assert [event.name for event in seen] == ["opened", "synced"]


async def test_alike_watches_share_the_json_of_a_change(http: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    make = events._event

    def noted(encoded: bytes) -> bytes:
        made.append(encoded)
        return make(encoded)

    monkeypatch.setattr(events, "_event", noted)
    async with several(http.http_address, 10) as watches:
        made.clear()
        await create(http, "web")
        data = {(await watch.until("change"))[-1].data for watch in watches}
    assert len(data) == 1
    assert len(made) == 1


@asynccontextmanager
async def several(address: str, count: int) -> AsyncGenerator[list[Answer]]:
    """Open several watches that are up to date."""
    if not count:
        yield []
        return
    async with requested(address, QUIET) as watch, several(address, count - 1) as others:
        await watch.until("synced")
        yield [watch, *others]


async def test_large_messages_become_json_beside_the_event_loop(
    http: Service, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    make = events._event

    def noted(encoded: bytes) -> bytes:
        if len(encoded) > events.LARGE_BYTES:
            threads.append(threading.current_thread() is threading.main_thread())
        return make(encoded)

    monkeypatch.setattr(events, "_event", noted)
    await fill(psql, 5, size=HUGE)
    async with requested(http.http_address, QUIET) as watch:
        await watch.until("synced")
        await fill(psql, 5, prefix="d", size=HUGE)
        await watch.until("change")
    assert threads
    assert not any(threads)


async def test_a_client_that_does_not_read_holds_up_nobody_else(http: Service, psql: Session) -> None:
    async with (
        requested(http.http_address, WATCH, receive_bytes=1024) as stalled,
        requested(http.http_address, WATCH) as quick,
    ):
        await quick.until("synced")
        last = 0
        for number in range(8):
            await fill(psql, 10, prefix=f"p{number}-", size=HUGE)
            last = await head(psql)
            async with asyncio.timeout(LIMIT_SECONDS):
                async for event in quick.events():
                    if event.id.endswith(f":{last}"):
                        break
        (behind,) = [one for one in (await http.server.ListWatches(ListWatchesRequest())).watches if one.behind_count]
        assert behind.revision < last
        # When it reads again, it goes on where it was.
        revisions: list[int] = []
        async with asyncio.timeout(LIMIT_SECONDS):
            async for event in stalled.events():
                revisions.append(int(event.json["revision"]))
                if event.id.endswith(f":{last}"):
                    break
    assert revisions == sorted(revisions)
    assert len(set(revisions)) == 9


@asynccontextmanager
async def with_reader(database_url: str, psql: Session, folder: Path, **settings: Any) -> AsyncGenerator[Service]:
    """Run a service with authentication where READER may read the application shop, which is large."""
    more = oidc_settings(folder, http_listen="127.0.0.1:0", **settings)
    async with running_service(database_url, **more) as service:
        await make(service, psql, "shop", READER)
        await until_known(service, psql)
        yield service


def selecting_shop() -> dict[str, Any]:
    body = json.dumps({"selectors": [{"application": {"name": "shop"}}]}).encode()
    return {"method": "POST", "body": body, "headers": bearer(READER)}


async def test_who_loses_a_role_is_told_so_in_the_last_event(database_url: str, psql: Session, tmp_path: Path) -> None:
    async with (
        with_reader(database_url, psql, tmp_path) as service,
        requested(service.http_address, WATCH, **selecting_shop()) as watch,
    ):
        await watch.until("synced")
        await unbind(psql, READER)
        *_, last = await watch.rest()
    assert end_of(last.json)[0] is StatusCode.PERMISSION_DENIED


async def test_who_may_not_watch_is_told_so_before_the_stream_opens(
    database_url: str, psql: Session, tmp_path: Path
) -> None:
    async with with_reader(database_url, psql, tmp_path) as service:
        async with requested(service.http_address, WATCH) as nobody:
            assert nobody.status == 401
        async with requested(service.http_address, WATCH, headers=bearer(READER)) as everything:
            assert everything.status == 403


async def test_a_client_that_does_not_read_its_end_is_cut_off(
    database_url: str, psql: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STATUS_LIMIT_SECONDS", 0.2)
    settings = oidc_settings(tmp_path, http_listen="127.0.0.1:0")
    async with measured_service(database_url, **settings) as (service, metrics):
        await make(service, psql, "shop", READER)
        await until_known(service, psql)
        await fill(psql, 80, size=HUGE)
        async with requested(service.http_address, WATCH, receive_bytes=1024, **selecting_shop()) as stalled:
            await metrics.until("configsvc_watches", 1, state="blocked")
            await unbind(psql, READER)
            await metrics.until("configsvc_calls_in_flight", 0)
            with pytest.raises(BrokenError):
                await stalled.rest()


async def test_a_slow_reader_is_closed_when_others_wait_for_its_slot_and_counted(
    database_url: str, psql: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.limits.unread.UNREAD_SECONDS", 0.1)
    monkeypatch.setattr("configsvc.limits.unread.CHECK_SECONDS", 0.1)
    monkeypatch.setattr("configsvc.limits.slots.UNREAD_MESSAGES", 1)
    settings = oidc_settings(tmp_path, http_listen="127.0.0.1:0")
    async with measured_service(database_url, **settings) as (service, metrics):
        await make(service, psql, "shop", READER)
        await until_known(service, psql)
        await fill(psql, 80, size=HUGE)
        async with requested(service.http_address, WATCH, receive_bytes=1024, **selecting_shop()) as stalled:
            await metrics.until("configsvc_watches", 1, state="blocked")
            async with requested(service.http_address, WATCH, **selecting_shop()) as other:
                await other.until("synced")
            await metrics.until("configsvc_slow_readers_closed_total", 1)
            *_, last = await stalled.rest()
    assert end_of(last.json) == (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")


async def test_watches_are_counted_and_logged_as_over_grpc(psql: Session, database_url: str) -> None:
    async with measured_service(database_url, http_listen="127.0.0.1:0") as (service, metrics):
        async with requested(service.http_address, WATCH) as watch:
            await watch.until("synced")
            await metrics.until("configsvc_calls_in_flight", 1)
            await metrics.until("configsvc_watches", 1, state="up_to_date")
        name = "ConfigurationService/WatchConfigurations"
        await metrics.until("configsvc_calls_total", 1, method=name, code="CANCELLED")
        await metrics.until("configsvc_calls_in_flight", 0)
        async with requested(service.http_address, path_of(resume_token="x")):
            await metrics.until("configsvc_calls_total", 1, method=name, code="INVALID_ARGUMENT")
