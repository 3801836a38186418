"""The job queue when its connection fails."""

import asyncio

import asyncpg
import pytest
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError
from pgqueuer.queries import Queries

from configsvc.storage import operations
from tests.api.calls import create_application
from tests.operations.operating import imported, item, result_of
from tests.service import Service, running_service
from tests.storage.reading import Session


async def import_after(failed: asyncio.Event, database_url: str) -> None:
    """Run a service; once its queue has failed, import a configuration."""
    async with running_service(database_url) as service:
        await failed.wait()
        await create_application(service)
        async with asyncio.timeout(20):
            assert result_of(await imported(service, item("a"))).created_count == 1


async def test_operations_are_carried_out_after_the_queue_heard_no_notifications(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    healthy = QueueManager.listener_healthy

    async def deaf_once(self: QueueManager, *arguments: object, **more: object):
        if not failed.is_set():
            failed.set()
            raise FailingListenerError
        return await healthy(self, *arguments, **more)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(QueueManager, "listener_healthy", deaf_once)
    await import_after(failed, database_url)


async def test_operations_are_carried_out_after_the_queue_lost_its_connection(
    service: Service, psql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("configsvc.operations.runner.RECONNECT_SECONDS", 0.1)
    monkeypatch.setattr("configsvc.storage.jobs.POLL_SECONDS", 0.5)
    await create_application(service)
    assert result_of(await imported(service, item("a"))).created_count == 1
    for number in range(3):
        await psql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query ILIKE '%pgqueuer%' AND pid <> pg_backend_pid()"
        )
        async with asyncio.timeout(20):
            assert result_of(await imported(service, item(f"b{number}"))).created_count == 1


async def test_operations_are_carried_out_after_a_statement_of_the_queue_met_a_deadlock(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    dequeue = Queries.dequeue

    async def deadlocked_once(self: Queries, *arguments: object, **more: object):
        if not failed.is_set():
            failed.set()
            raise asyncpg.DeadlockDetectedError
        return await dequeue(self, *arguments, **more)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Queries, "dequeue", deadlocked_once)
    await import_after(failed, database_url)


async def test_an_operation_whose_row_is_locked_is_carried_out_later(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_up, is_locked = operations.take_up, True

    async def take_up_when_free(*arguments: object, **more: object):
        nonlocal is_locked
        if is_locked:
            is_locked = False
            raise asyncpg.LockNotAvailableError
        return await take_up(*arguments, **more)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(operations, "take_up", take_up_when_free)
    await create_application(service)
    async with asyncio.timeout(20):
        assert result_of(await imported(service, item("a"))).created_count == 1
    assert not is_locked
