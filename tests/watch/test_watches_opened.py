"""The first message of a watch, and starts with a snapshot of at least some revision."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from configapi.v1.configuration_service_pb2 import SnapshotOptions, WatchConfigurationsRequest
from tests.service import Service, error_info_of, reason_of
from tests.storage.compacting import A_DAY, age, compact_once
from tests.storage.reading import Session, application, head
from tests.watch.changing import OFTEN, commit_one_by_one, fill
from tests.watch.history import read_history
from tests.watch.recording import Recorder, recorded, resumed
from tests.watch.validators import validate


async def test_the_first_message_says_what_became_of_the_request(
    service: Service, psql: Session, database_url: str
) -> None:
    await application(psql)
    await commit_one_by_one(psql, 5)
    await psql.execute("DELETE FROM configurations WHERE name < 'n00002'")
    await age(psql, up_to=4)
    await compact_once(database_url, A_DAY)
    async with recorded(service, WatchConfigurationsRequest(progress_interval=OFTEN)) as watch:
        recording = await watch.until_synced()
    opened = recording.messages[0].opened
    assert opened.progress_interval == OFTEN
    assert (opened.head_revision, recording.messages[0].revision) == (7, 7)
    assert opened.compacted_revision > 0
    assert len(opened.watch_id) == 26
    async with recorded(service, resumed(recording)) as watch:
        again = await watch.until_synced()
    assert again.messages[0].opened.watch_id > opened.watch_id
    async with recorded(service) as watch:
        default = await watch.until_synced()
    assert default.messages[0].opened.progress_interval == Duration(seconds=10)


async def test_the_first_message_comes_before_the_snapshot_is_read(service: Service, psql: Session) -> None:
    await application(psql)
    await fill(psql, 1)
    async with psql.transaction():
        # Whoever reads the snapshot waits for this lock.
        await psql.execute("LOCK TABLE configurations IN ACCESS EXCLUSIVE MODE")
        async with recorded(service) as watch:
            recording = await watch.until(lambda recording: bool(recording.messages))
            assert recording.messages[0].opened.head_revision == 2
            assert not recording.synced


@pytest.mark.parametrize("revision", [0, 1, 2])
async def test_a_snapshot_is_at_least_as_new_as_the_revision_that_it_must_have(
    service: Service, psql: Session, database_url: str, revision: int
) -> None:
    await application(psql)
    await fill(psql, 2)
    request = WatchConfigurationsRequest(snapshot=SnapshotOptions(min_revision=revision))
    async with recorded(service, request) as watch:
        recording = await watch.until_synced()
    assert (recording.revision, len(recording.view())) == (2, 2)
    validate(recording, await read_history(database_url))


async def test_a_snapshot_of_a_revision_that_the_history_has_not_reached_is_refused(
    service: Service, psql: Session
) -> None:
    await application(psql)
    for revision in (2, 2**63 - 1):
        request = WatchConfigurationsRequest(snapshot=SnapshotOptions(min_revision=revision))
        watch = Recorder(service, request)
        error = await watch.until_error()
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN")
        assert error_info_of(error).metadata["head_revision"] == "1"
        assert not watch.recording.messages


async def test_a_snapshot_shows_a_commit_that_its_process_has_yet_to_read(service: Service, psql: Session) -> None:
    await application(psql)
    for turn in range(20):
        await fill(psql, 1, prefix=f"turn{turn:02}-")
        revision = await head(psql)
        request = WatchConfigurationsRequest(snapshot=SnapshotOptions(min_revision=revision))
        async with recorded(service, request) as watch:
            assert len((await watch.until_synced()).view()) == turn + 1
