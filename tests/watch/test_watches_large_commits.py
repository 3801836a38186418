import asyncio

import pytest

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import DeleteApplicationRequest, UpdateApplicationRequest
from configapi.v1.configuration_service_pb2 import EFFECT_REMOVE
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from tests.robustness.form import FORM, PATIENCE_SECONDS
from tests.service import Service
from tests.storage.reading import Session, application
from tests.watch.changing import fill, selector, watching
from tests.watch.history import read_history
from tests.watch.recording import recorded
from tests.watch.validators import validate

# More than a page of the log takes.
MANY = 20_000


async def test_a_commit_larger_than_any_page_of_the_log_arrives_whole(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    async with recorded(service) as watch:
        await watch.until_synced()
        await fill(psql, MANY, size=1000)
        recording = await watch.until_revision(2)
        status = await service.server.GetServerStatus(GetServerStatusRequest())
    assert status.live
    assert len(recording.view()) == MANY
    validate(recording, await read_history(database_url))


async def test_a_commit_that_is_read_in_slices_and_encoded_elsewhere_arrives_in_one_message(
    service: Service, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.storage.log.RECORDS_AT_ONCE", 7)
    monkeypatch.setattr("configsvc.domain.watching.LARGE_BYTES", 300)
    await application(psql)
    # The first two watches get the same message, which is encoded once.
    async with recorded(service) as one, recorded(service) as other, recorded(service, watching(selector())) as third:
        watches = (one, other, third)
        for watch in watches:
            await watch.until_synced()
        await fill(psql, 100, size=200)
        recordings = [await watch.until_revision(2) for watch in watches]
    history = await read_history(database_url)
    for recording in recordings:
        assert [len(message.events) for message in recording.messages if message.revision == 2] == [100]
        validate(recording, history)


async def test_a_watch_of_little_sees_the_end_of_a_large_commit(
    service: Service, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 2000
    monkeypatch.setattr("configsvc.domain.commits.PART_LIMIT_BYTES", 100_000)
    monkeypatch.setattr("configsvc.storage.log.PAGE_LIMIT", many // 2)
    await application(psql)
    async with recorded(service, watching(selector(prefix="c0001"))) as watch:
        await watch.until_synced()
        await fill(psql, many, size=600)
        recording = await watch.until_revision(2)
    assert [message.more for message in recording.messages][-1] is False
    assert 0 < len(recording.view()) < many
    validate(recording, await read_history(database_url))


@pytest.mark.timeout(PATIENCE_SECONDS)
async def test_a_large_application_can_be_renamed_and_deleted(service: Service, psql: Session) -> None:
    await application(psql)
    await fill(psql, FORM.many)
    async with recorded(service) as watch, asyncio.timeout(60):
        await watch.until_synced()
        renamed = await service.applications.UpdateApplication(
            UpdateApplicationRequest(name="shop", application=Application(name="store"))
        )
        recording = await watch.until_revision(renamed.revision)
        assert {configuration.application for configuration in recording.view().values()} == {"store"}
        deleted = await service.applications.DeleteApplication(DeleteApplicationRequest(name="store", force=True))
        recording = await watch.until_revision(deleted.revision)
    assert recording.view() == {}
    last = [event.effect for event in recording.steps[-1].events]
    assert last == [EFFECT_REMOVE] * FORM.many
