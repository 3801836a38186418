import asyncio
import uuid
from datetime import timedelta

from grpc import StatusCode
from ulid import ULID

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    UpdateApplicationRequest,
)
from configapi.v1.configuration_pb2 import Configuration
from configsvc.app.housekeeping import purge_requests
from configsvc.limits.slots import connection_turn
from configsvc.storage.database import open_database
from tests.api.calls import (
    Connection,
    create,
    create_application,
    delete,
    failing,
    get,
    head,
    names,
    patch,
    update,
)
from tests.service import Service


def new_id() -> str:
    return str(uuid.uuid4())


async def age(psql: Connection, request_id: str, by: timedelta) -> None:
    await psql.execute("UPDATE requests SET create_time = now() - $2::interval WHERE request_id = $1", request_id, by)


async def test_the_same_call_again_returns_the_first_answer(shop: Service) -> None:
    request_id = new_id()
    created = await create(shop, "web", {"a": 1}, request_id=request_id)
    assert await create(shop, "web", {"a": 1}, request_id=request_id) == created
    assert await head(shop) == 2


async def test_a_ulid_is_a_request_id_too(shop: Service) -> None:
    request_id = str(ULID())
    created = await create(shop, "web", request_id=request_id)
    assert await create(shop, "web", request_id=request_id) == created


async def test_the_first_answer_comes_back_after_the_resource_changed(shop: Service) -> None:
    creating, patching = new_id(), new_id()
    created = await create(shop, "web", {"a": 1}, request_id=creating)
    patched = await patch(shop, "web", {"a": 2}, request_id=patching)
    await update(shop, "web", configuration=Configuration(name="www"))
    assert await create(shop, "web", {"a": 1}, request_id=creating) == created
    assert await patch(shop, "web", {"a": 2}, request_id=patching) == patched


async def test_the_first_answer_comes_back_after_the_resource_was_deleted(shop: Service) -> None:
    creating, patching = new_id(), new_id()
    created = await create(shop, "web", {"a": 1}, request_id=creating)
    patched = await patch(shop, "web", {"a": 2}, request_id=patching)
    await delete(shop, "web")
    assert await create(shop, "web", {"a": 1}, request_id=creating) == created
    assert await patch(shop, "web", {"a": 2}, request_id=patching) == patched
    assert await names(shop) == []


async def test_a_deletion_is_answered_again_and_done_once(shop: Service) -> None:
    await create(shop, "web")
    request_id = new_id()
    revision = await delete(shop, "web", request_id=request_id)
    await create(shop, "web")
    assert await delete(shop, "web", request_id=request_id) == revision
    assert await names(shop) == ["web"]


async def test_a_write_that_changed_nothing_is_answered_again(shop: Service) -> None:
    created = await create(shop, "web", {"a": 1})
    request_id = new_id()
    assert await patch(shop, "web", {"a": 1}, request_id=request_id) == created
    await patch(shop, "web", {"a": 2})
    assert await patch(shop, "web", {"a": 1}, request_id=request_id) == created
    assert (await get(shop, "web")).version == 2


async def test_an_expected_version_that_is_past_does_not_hinder_the_second_call(shop: Service) -> None:
    await create(shop, "web", {"a": 1})
    request_id = new_id()
    patched = await patch(shop, "web", {"a": 2}, expected_version=1, request_id=request_id)
    assert await patch(shop, "web", {"a": 2}, expected_version=1, request_id=request_id) == patched


async def test_calls_about_applications_are_answered_again(service: Service) -> None:
    creation = CreateApplicationRequest(name="shop", request_id=new_id())
    change = UpdateApplicationRequest(name="shop", application=Application(name="store"), request_id=new_id())
    deletion = DeleteApplicationRequest(name="store", request_id=new_id())
    created = await service.applications.CreateApplication(creation)
    changed = await service.applications.UpdateApplication(change)
    deleted = await service.applications.DeleteApplication(deletion)
    assert await service.applications.CreateApplication(creation) == created
    assert await service.applications.UpdateApplication(change) == changed
    assert await service.applications.DeleteApplication(deletion) == deleted
    assert await head(service) == 3


async def test_of_equal_calls_at_once_one_does_the_work(shop: Service) -> None:
    request_id = new_id()
    answers = await asyncio.gather(*(create(shop, "web", {"a": 1}, request_id=request_id) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    assert await head(shop) == 2


async def test_a_request_id_with_another_request_is_refused(shop: Service) -> None:
    request_id = new_id()
    await create(shop, "web", {"a": 1}, request_id=request_id)
    for other in (
        create(shop, "web", {"a": 2}, request_id=request_id),
        create(shop, "web", {"a": 1}, reason="another", request_id=request_id),
        patch(shop, "web", {"a": 1}, request_id=request_id),
        create_application(shop, "bank", request_id=request_id),
        delete(shop, "web", request_id=request_id),
    ):
        with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
            await other
    assert await head(shop) == 2


async def test_equal_requests_are_equal_whatever_the_order_of_their_members(shop: Service) -> None:
    request_id = new_id()
    created = await create(shop, "web", {"a": 1, "b": {"c": 2, "d": 3}}, request_id=request_id)
    assert await create(shop, "web", {"b": {"d": 3, "c": 2}, "a": 1}, request_id=request_id) == created


async def test_a_request_id_is_free_again_after_24_hours(shop: Service, psql: Connection) -> None:
    request_id = new_id()
    await create(shop, "web", request_id=request_id)
    await age(psql, request_id, timedelta(hours=23, minutes=59))
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await create(shop, "api", request_id=request_id)
    await age(psql, request_id, timedelta(hours=24, seconds=1))
    created = await create(shop, "api", request_id=request_id)
    assert created.name == "api"
    assert await create(shop, "api", request_id=request_id) == created


async def test_the_purge_deletes_old_calls_only(shop: Service, psql: Connection, database_url: str) -> None:
    old, recent = new_id(), new_id()
    await create(shop, "old", request_id=old)
    await create(shop, "recent", request_id=recent)
    await age(psql, old, timedelta(hours=24, seconds=1))
    await age(psql, recent, timedelta(hours=23))
    await psql.execute(
        """
        INSERT INTO requests (request_id, fingerprint, resource_id, version, create_time)
        SELECT 'old ' || number, '', '', 0, now() - interval '2 days' FROM generate_series(1, 2500) AS number
        """
    )
    async with open_database(database_url, turn=connection_turn) as opened:
        await purge_requests(opened)
    rows = await psql.fetch("SELECT request_id FROM requests")
    assert [row["request_id"] for row in rows] == [recent]


async def test_a_call_that_failed_leaves_its_request_id_free(shop: Service) -> None:
    request_id = new_id()
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await create(shop, "web", application="bank", request_id=request_id)
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await create(shop, "..", request_id=request_id)
    assert (await create(shop, "web", request_id=request_id)).version == 1


async def test_validate_only_does_not_take_the_request_id(shop: Service) -> None:
    request_id = new_id()
    await create(shop, "web", {"a": 1}, request_id=request_id, validate_only=True)
    created = await create(shop, "web", {"a": 2}, request_id=request_id)
    assert (created.version, await head(shop)) == (1, 2)


async def test_the_request_id_is_kept_with_the_change(shop: Service, psql: Connection) -> None:
    request_id = new_id()
    await create(shop, "web", request_id=request_id)
    assert await psql.fetchval("SELECT request_id FROM changes WHERE revision = 2") == request_id
