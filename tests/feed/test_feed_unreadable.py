"""Records that cannot be read: the log goes on for all others, and nobody misses one without hearing of it."""

from collections.abc import AsyncGenerator

import grpc
import pytest

from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest, WatchConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.api.calls import create, create_application
from tests.app.scraping import Metrics, measured_service
from tests.service import Service, reason_of
from tests.storage.damaging import write_unchecked
from tests.watch.recording import recorded

# As written by a server that checked no encoding, or restored from a disk that lied.
BAD_TEXT = r"INSERT INTO configurations (application, name, comments, config) VALUES ('shop', 'bad', E'\xff', '{}')"
BAD_CONTENT = (
    r"""INSERT INTO configurations (application, name, config) VALUES ('shop', 'bad', E'{"a": "\xff"}'::jsonb)"""
)
BAD_TIME = (
    "INSERT INTO configurations (application, name, config) VALUES ('shop', 'bad', '{}'); "
    "UPDATE change_records SET create_time = '20000-01-01' WHERE name = 'bad'"
)


@pytest.fixture
async def measured(database_url: str) -> AsyncGenerator[tuple[Service, Metrics]]:
    async with measured_service(database_url) as measured:
        yield measured


def watching(application: str, after: int | None = None) -> WatchConfigurationsRequest:
    request = WatchConfigurationsRequest(
        selectors=[ConfigurationSelector(application=ApplicationRef(name=application))]
    )
    if after is not None:
        request.history.after_revision = after
    return request


@pytest.mark.parametrize("bad", [BAD_TEXT, BAD_CONTENT, BAD_TIME], ids=["text", "content", "time"])
async def test_a_record_that_cannot_be_read_ends_only_the_watches_that_select_it(
    measured: tuple[Service, Metrics], database_url: str, bad: str
) -> None:
    service, metrics = measured
    for name in ("shop", "bank"):
        await create_application(service, name)
    lost = await metrics.value("configsvc_feed_connections_lost_total")
    async with recorded(service, watching("shop")) as shop, recorded(service, watching("bank")) as bank:
        await shop.until_synced()
        before = (await bank.until_synced()).revision
        await write_unchecked(database_url, bad)
        made = await create(service, "web", application="bank")
        assert [event.configuration.name for event in (await bank.until_revision(made.revision)).events] == ["web"]
        error = await shop.until_error()
        assert error.code() is grpc.StatusCode.OUT_OF_RANGE
        assert "cannot be read: start over" in (error.details() or "")
    # Also one that resumes, and reads the table.
    async with recorded(service, watching("shop", before)) as resumed:
        assert reason_of(await resumed.until_error()) == "REVISION_COMPACTED"
    async with recorded(service, watching("shop", made.revision)) as later:
        made = await create(service, "web")
        assert (await later.until_revision(made.revision)).events[0].configuration.name == "web"
    assert await metrics.value("configsvc_unreadable_records_total") == 1
    assert await metrics.value("configsvc_feed_connections_lost_total") == lost


async def test_a_record_without_readable_names_makes_every_watch_start_over(
    measured: tuple[Service, Metrics], database_url: str
) -> None:
    service, metrics = measured
    await create_application(service, "shop")
    async with recorded(service, watching("shop")) as shop:
        before = (await shop.until_synced()).revision
        await write_unchecked(
            database_url,
            "INSERT INTO configurations (application, name, config) VALUES ('shop', 'bad', '{}'); "
            r"UPDATE change_records SET application = E'\xff' WHERE name = 'bad'",
        )
        assert reason_of(await shop.until_error()) == "EPOCH_CHANGED"
    async with recorded(service, watching("shop", before)) as resumed:
        assert reason_of(await resumed.until_error()) == "REVISION_COMPACTED"
    async with recorded(service, watching("shop")) as anew:
        assert len((await anew.until_synced()).view()) == 1
    assert await metrics.value("configsvc_unreadable_records_total") == 1


@pytest.mark.parametrize("bad", [BAD_TEXT, BAD_CONTENT], ids=["text", "content"])
async def test_a_configuration_that_cannot_be_read_is_left_out_of_lists_and_snapshots(
    measured: tuple[Service, Metrics], database_url: str, bad: str
) -> None:
    service, _ = measured
    await create_application(service, "shop")
    await write_unchecked(database_url, bad)
    for name in ("app", "web"):
        await create(service, name)
    async with recorded(service, watching("shop")) as anew:
        view = (await anew.until_synced()).view()
    assert sorted(configuration.name for configuration in view.values()) == ["app", "web"]
    for page_size in (1, 100):
        assert [name async for name in names_in_pages(service, page_size)] == ["app", "web"]


async def names_in_pages(service: Service, page_size: int) -> AsyncGenerator[str]:
    request = ListConfigurationsRequest(page_size=page_size)
    while True:
        page = await service.configurations.ListConfigurations(request)
        for configuration in page.configurations:
            yield configuration.name
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
