"""Watches by long polling."""

import asyncio
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from grpc import StatusCode

from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from tests.app.scraping import measured_service
from tests.feed.status import until_away
from tests.proxy import proxied
from tests.service import Service, running_service
from tests.storage.reading import Session, head
from tests.watch import validators
from tests.watch.changing import create, fill, selector, watching
from tests.watch.history import read_history
from tests.watch.recording import Recording
from tests.web.event_streams import requested
from tests.web.test_events import until_watches, violations
from tests.web.watching import WATCH, end_of, opened, path_of

# What an answer has at most, and a message over gRPC.
ANSWER_LIMIT_BYTES = 3 * 1024 * 1024


async def polled(service: Service, **parameters: str) -> dict[str, Any]:
    """Return the document of a poll."""
    async with requested(service.http_address, path_of(**parameters)) as answer:
        document = await answer.json()
        assert answer.status == 200, document
        assert answer.headers["content-type"] == "application/json"
        return document


def names(document: dict[str, Any]) -> list[str]:
    return [event["configuration"]["name"] for one in document["messages"] for event in one.get("events", ())]


async def test_a_poll_without_a_token_answers_with_the_snapshot(http: Service) -> None:
    empty = await polled(http, wait="300s")
    assert names(empty) == []
    assert empty["messages"][-1]["synced"]
    await create(http, "web")
    document = await polled(http, wait="300s")
    assert names(document) == ["web"]
    assert document["resume_token"] == document["messages"][-1]["resume_token"]


async def test_a_poll_answers_at_once_with_what_has_happened(http: Service) -> None:
    token = (await polled(http, wait="0s"))["resume_token"]
    for name in ("a", "b", "c"):
        await create(http, name)
    document = await polled(http, wait="300s", resume_token=token)
    assert names(document) == ["a", "b", "c"]
    assert document["resume_token"] == document["messages"][-1]["resume_token"]


async def test_a_poll_answers_as_soon_as_something_happens(http: Service) -> None:
    token = (await polled(http, wait="0s"))["resume_token"]
    poll = asyncio.create_task(polled(http, wait="300s", resume_token=token))
    await until_watches(http, 1)
    await create(http, "web")
    assert names(await poll) == ["web"]
    await until_watches(http, 0)


async def test_a_poll_answers_empty_after_the_wait_with_the_newest_token(http: Service) -> None:
    first = await polled(http, wait="0s")
    again = await polled(http, wait="0.1s", resume_token=first["resume_token"])
    assert again == {"messages": [], "resume_token": first["resume_token"]}
    await create(http, "web")
    path = path_of(wait="0.2s", resume_token=first["resume_token"])
    request = watching(selector("bank"))
    async with opened(http.http_address, request, wait="0s") as answer:
        assert (await answer.json())["resume_token"] > first["resume_token"]
    async with requested(http.http_address, path) as answer:
        assert names(await answer.json()) == ["web"]


@pytest.mark.parametrize(("count", "size"), [(60, 100_000), (4_000, 1), (3, 250_000)])
async def test_a_snapshot_and_a_commit_come_whole_in_answers_of_limited_size(
    http: Service, psql: Session, database_url: str, count: int, size: int
) -> None:
    await fill(psql, count, prefix="old", size=size)
    recording = Recording(request=WatchConfigurationsRequest())
    document, sizes = await followed(http, recording, {})
    assert document["resume_token"].endswith(f":{await head(psql)}")
    await psql.execute("UPDATE configurations SET config = config || '{\"new\": 1}'")
    await fill(psql, count, prefix="new", size=size)
    while recording.revision < await head(psql):
        document, more = await followed(http, recording, {"resume_token": document["resume_token"]})
        sizes += more
    assert max(sizes) <= ANSWER_LIMIT_BYTES
    history = await read_history(database_url)
    validators.ordered(recording)
    validators.unique(recording)
    validators.reliable(recording, history)
    validators.snapshot(recording, history)


async def followed(
    service: Service, recording: Recording, parameters: dict[str, str]
) -> tuple[dict[str, Any], list[int]]:
    """Record all pages of a poll; return the last one, and the sizes of all."""
    sizes: list[int] = []
    while True:
        async with requested(service.http_address, path_of(wait="60s", **parameters)) as answer:
            document = await answer.json()
            assert answer.status == 200, document
            sizes.append(int(answer.headers["content-length"]))
        messages = [ParseDict(one, WatchConfigurationsResponse()) for one in document["messages"]]
        recording.messages.extend(messages)
        if "resume_token" in document:
            assert document.keys() == {"messages", "resume_token"}
            return document, sizes
        assert document.keys() == {"messages", "next_page_token"}
        assert messages
        assert not messages[-1].resume_token
        parameters = {"page_token": document["next_page_token"]}


async def test_a_page_token_belongs_to_its_request(http: Service, psql: Session) -> None:
    await fill(psql, 40, size=100_000)
    token = (await polled(http, wait="0s"))["next_page_token"]
    parameters = [
        {"wait": "0s", "page_token": token, "view": "CONFIGURATION_VIEW_BASIC"},
        {"wait": "0s", "page_token": token[:-8] + "AAAAAAAA"},
        {"wait": "0s", "page_token": ""},
        {"wait": "0s", "page_token": token, "snapshot.min_revision": "0"},
    ]
    for one in parameters:
        async with requested(http.http_address, path_of(**one)) as refused:
            assert refused.status == 400
            (violation,) = violations(await refused.json())
            assert violation["field"] == "page_token"


@pytest.mark.parametrize("wait", ["", "30", "-1s", "301s", "x", "1h", "9" * 400 + "s"])
async def test_a_wait_that_is_none_or_too_long_is_refused(http: Service, wait: str) -> None:
    async with requested(http.http_address, path_of(wait=wait)) as refused:
        assert refused.status == 400
        (violation,) = violations(await refused.json())
        assert violation["field"] == "wait"


async def test_parameters_of_a_poll_occur_once(http: Service) -> None:
    for query in ("wait=1s&wait=1s", "wait=1s&page_token=a&page_token=a", "page_token=a"):
        async with requested(http.http_address, f"{WATCH}?{query}") as refused:
            assert refused.status == 400
    async with requested(http.http_address, f"{WATCH}?wait=0s&nonsense=1") as refused:
        assert refused.status == 400


async def test_a_poll_resumes_after_the_last_event_id(http: Service) -> None:
    token = (await polled(http, wait="0s"))["resume_token"]
    await create(http, "web")
    headers = {"last-event-id": token}
    async with requested(http.http_address, path_of(wait="0s"), headers=headers) as answer:
        assert names(await answer.json()) == ["web"]
    other = path_of(wait="0s", resume_token=f"{token}0")
    async with requested(http.http_address, other, headers=headers) as refused:
        assert [one["field"] for one in violations(await refused.json())] == ["last-event-id"]


async def test_a_poll_that_cannot_go_on_is_refused_with_its_status(http: Service) -> None:
    async with requested(http.http_address, path_of(wait="0s", resume_token="1-1-1-1-1:1")) as refused:
        assert refused.status == 400
        assert end_of(await refused.json()) == (StatusCode.OUT_OF_RANGE, "EPOCH_CHANGED")


async def test_a_poll_whose_client_leaves_ends(http: Service) -> None:
    token = (await polled(http, wait="0s"))["resume_token"]
    poll = asyncio.create_task(polled(http, wait="300s", resume_token=token))
    await until_watches(http, 1)
    poll.cancel()
    await until_watches(http, 0)


async def test_a_poll_ends_with_the_server(psql: Session, database_url: str) -> None:
    async with running_service(database_url, http_listen="127.0.0.1:0") as service:
        token = (await polled(service, wait="0s"))["resume_token"]
        path = path_of(wait="300s", resume_token=token)

        async def poll() -> tuple[int, str, Any]:
            async with requested(service.http_address, path) as answer:
                return answer.status, answer.headers["retry-after"], end_of(await answer.json())

        waiting = asyncio.create_task(poll())
        await until_watches(service, 1)
        service.stop.set()
        status, later, end = await waiting
    assert (status, later) == (503, "1")
    assert end == (StatusCode.UNAVAILABLE, "SHUTTING_DOWN")


async def test_a_poll_does_not_say_that_nothing_changed_while_the_database_is_away(database_url: str) -> None:
    async with proxied(database_url) as (proxy, url), running_service(url, http_listen="127.0.0.1:0") as service:
        token = (await polled(service, wait="0s"))["resume_token"]

        async def poll() -> tuple[int, Any]:
            async with requested(service.http_address, path_of(wait="6s", resume_token=token)) as answer:
                return answer.status, end_of(await answer.json())

        waiting = asyncio.create_task(poll())
        await until_watches(service, 1)
        await proxy.cut()
        await until_away(service)
        assert await waiting == (503, (StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"))
        proxy.restore()


async def test_polls_are_counted_as_watches_and_calls(database_url: str) -> None:
    async with measured_service(database_url, http_listen="127.0.0.1:0", watches_per_process=1) as (service, metrics):
        token = (await polled(service, wait="0s"))["resume_token"]
        poll = asyncio.create_task(polled(service, wait="300s", resume_token=token))
        await metrics.until("configsvc_watches", 1, state="up_to_date")
        async with requested(service.http_address, path_of(wait="0s")) as refused:
            assert refused.status == 429
        poll.cancel()
        name = "ConfigurationService/WatchConfigurations"
        await metrics.until("configsvc_calls_total", 1, method=name, code="OK")
        await metrics.until("configsvc_calls_total", 1, method=name, code="RESOURCE_EXHAUSTED")
        await metrics.until("configsvc_calls_total", 1, method=name, code="CANCELLED")
        await metrics.until("configsvc_calls_in_flight", 0)
