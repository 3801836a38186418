"""Operations that outlive the process that runs them."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest
from google.longrunning.operations_proto_pb2 import Operation, WaitOperationRequest
from google.protobuf.duration_pb2 import Duration

from configapi.v1.configuration_service_pb2 import ImportMode
from tests.api.calls import create_application
from tests.operations.operating import (
    ATOMIC,
    PER_ITEM,
    begin,
    ended,
    item,
    metadata_of,
    result_of,
)
from tests.process.running import serving
from tests.robustness.form import FORM
from tests.service import Service, running_service
from tests.storage.reading import Session

LIMIT_SECONDS = 150.0


async def until_some_are_done(service: Service, operation: Operation) -> int:
    """Return the number of items done once it is some, and not all."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            request = WaitOperationRequest(name=operation.name, timeout=Duration(nanos=20_000_000))
            done = metadata_of(await service.operations.WaitOperation(request)).done_count
            if done:
                assert done < FORM.many
                return done


@pytest.mark.timeout(2 * LIMIT_SECONDS)
@pytest.mark.parametrize("mode", [ATOMIC, PER_ITEM])
async def test_an_import_whose_process_is_killed_is_completed_by_another(
    tmp_path: Path, psql: Session, database_url: str, monkeypatch: pytest.MonkeyPatch, mode: ImportMode.ValueType
) -> None:
    async with serving(tmp_path, database_url) as (program, service):
        await create_application(service)
        operation = await begin(service, *(item(f"c{number}", {"n": number}) for number in range(FORM.many)), mode=mode)
        await until_some_are_done(service, operation)
        program.signal(signal.SIGKILL)
        await program.exit_code()
    before = await psql.fetchval("SELECT count(*) FROM configurations")
    assert before < FORM.many
    # The other process takes over after this time without a sign of life.
    monkeypatch.setattr("configsvc.storage.jobs.HEARTBEAT_SECONDS", 3.0)
    monkeypatch.setattr("configsvc.storage.jobs.POLL_SECONDS", 0.5)
    # Between the attempt that was killed and the next one.
    monkeypatch.setattr("configsvc.operations.runner.FIRST_PAUSE_SECONDS", 0.5)
    async with running_service(database_url) as service:
        result = result_of(await ended(service, operation))
    assert (result.done_count, result.created_count, result.failed_count) == (FORM.many, FORM.many, 0)
    # Each configuration was written once, so finished items were not repeated.
    assert await psql.fetchval("SELECT count(*) FROM change_records WHERE kind = 'CONFIGURATION'") == FORM.many
    assert await psql.fetchval("SELECT count(*) FROM configurations WHERE version = 1") == FORM.many
    if mode == ATOMIC:
        assert await psql.fetchval("SELECT count(DISTINCT commit_id) FROM configurations") == 1


async def test_the_processes_of_the_pool_end_with_theirs(tmp_path: Path, database_url: str) -> None:
    async with serving(tmp_path, database_url) as (program, service):
        await create_application(service)
        result_of(await ended(service, await begin(service, item("a"))))
        children = psutil.Process(program.process.pid).children(recursive=True)
        assert children
        program.signal(signal.SIGKILL)
        await program.exit_code()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=20)
        assert (len(gone), alive) == (len(children), [])
