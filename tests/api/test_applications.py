import asyncio

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import PreconditionFailure, ResourceInfo
from grpc import StatusCode

from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    CreateApplicationResponse,
    DeleteApplicationRequest,
    GetApplicationRequest,
    ListApplicationsRequest,
    UpdateApplicationRequest,
)
from configapi.v1.configuration_service_pb2 import CreateConfigurationRequest, GetConfigurationRequest
from tests.api.calls import Connection, create, create_application, failing, get, head, names, refused
from tests.service import Service, error_info_of, status_of


async def fetch(service: Service, name: str) -> Application:
    return (await service.applications.GetApplication(GetApplicationRequest(name=name))).application


async def update(service: Service, name: str, **fields: object) -> Application:
    request = UpdateApplicationRequest(name=name, **fields)  # pyright: ignore[reportArgumentType]
    return (await service.applications.UpdateApplication(request)).application


async def test_an_application_is_created_and_got_by_id_and_by_name(service: Service) -> None:
    created = await create_application(service, "shop", comments="Größe", reason="first")
    assert (created.name, created.comments, created.version, created.revision) == ("shop", "Größe", 1, 1)
    assert len(created.id) == 26
    assert created.create_time == created.update_time
    assert await fetch(service, "shop") == created
    by_id = await service.applications.GetApplication(GetApplicationRequest(id=created.id))
    assert (by_id.application, by_id.revision) == (created, 1)


async def test_an_application_that_does_not_exist_is_not_found(service: Service) -> None:
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND") as caught:
        await fetch(service, "shop")
    info = ResourceInfo()
    assert any(detail.Unpack(info) for detail in status_of(caught.value).details)
    assert (info.resource_type, info.resource_name) == ("application", "shop")


async def test_a_name_that_is_taken_is_already_exists(service: Service) -> None:
    await create_application(service, "shop")
    await create_application(service, "bank")
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await create_application(service, "shop")
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await update(service, "bank", application=Application(name="shop"))
    assert await head(service) == 2


async def test_an_update_changes_what_the_mask_names(service: Service) -> None:
    created = await create_application(service, "shop", comments="old")
    new = Application(name="store", comments="new")
    commented = await update(service, "shop", application=new, update_mask=FieldMask(paths=["comments"]))
    assert (commented.id, commented.name, commented.comments) == (created.id, "shop", "new")
    assert (commented.version, commented.revision) == (2, 2)
    assert commented.create_time == created.create_time
    renamed = await update(service, "shop", application=new, update_mask=FieldMask(paths=["name"]))
    assert (renamed.name, renamed.version, renamed.revision) == ("store", 3, 3)
    starred = await update(service, "store", application=Application(name="shop"), update_mask=FieldMask(paths=["*"]))
    assert (starred.name, starred.comments, starred.version) == ("shop", "", 4)


async def test_an_empty_mask_takes_the_fields_that_are_not_empty(service: Service) -> None:
    await create_application(service, "shop", comments="old")
    assert (await update(service, "shop", application=Application(name="store"))).comments == "old"
    assert (await update(service, "store", application=Application(comments="new"))).name == "store"
    async with refused(service, "update_mask"):
        await update(service, "store", application=Application(id="ignored"))


async def test_a_new_name_carries_over_to_the_configurations_in_the_same_commit(service: Service) -> None:
    await create_application(service, "shop")
    await create(service, "web", {"a": 1})
    await create(service, "api", {"b": 2})
    renamed = await update(service, "shop", application=Application(name="store"))
    assert await names(service, application=ApplicationRef(name="store")) == ["api", "web"]
    for name in ("api", "web"):
        moved = await get(service, name, "store")
        assert (moved.application, moved.application_id) == ("store", renamed.id)
        assert (moved.version, moved.revision) == (2, renamed.revision)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await get(service, "web", "shop")


async def test_the_old_name_of_an_application_is_free(service: Service) -> None:
    first = await create_application(service, "shop")
    await update(service, "shop", application=Application(name="store"))
    second = await create_application(service, "shop")
    assert second.id != first.id


async def test_a_write_that_changes_nothing_makes_no_version_and_no_revision(service: Service) -> None:
    created = await create_application(service, "shop", comments="same")
    unchanged = await update(service, "shop", application=Application(name="shop", comments="same"))
    assert unchanged == created
    assert await head(service) == 1


async def test_another_expected_version_is_aborted_and_tells_the_current_one(service: Service) -> None:
    await create_application(service, "shop")
    await update(service, "shop", application=Application(comments="new"), expected_version=1)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
        await update(service, "shop", application=Application(comments="newer"), expected_version=1)
    assert error_info_of(caught.value).metadata["current_version"] == "2"
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop", expected_version=1))
    await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop", expected_version=2))
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await update(service, "shop", application=Application(comments="newer"), expected_version=2)


async def test_an_application_with_configurations_is_deleted_only_by_force(service: Service) -> None:
    created = await create_application(service, "shop")
    await create(service, "web")
    with failing(StatusCode.FAILED_PRECONDITION, "APPLICATION_NOT_EMPTY") as caught:
        await service.applications.DeleteApplication(DeleteApplicationRequest(id=created.id))
    failure = PreconditionFailure()
    assert any(detail.Unpack(failure) for detail in status_of(caught.value).details)
    assert (await get(service, "web")).version == 1
    deleted = await service.applications.DeleteApplication(DeleteApplicationRequest(id=created.id, force=True))
    assert deleted.revision == 3
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await fetch(service, "shop")


async def test_all_that_a_forced_deletion_removes_shares_one_revision(service: Service, psql: Connection) -> None:
    await create_application(service, "bank")
    await create(service, "web", application="bank")
    await create_application(service, "shop")
    for name in ("api", "web", "worker"):
        await create(service, name)
    request = DeleteApplicationRequest(name="shop", force=True, reason="moved away")
    deleted = await service.applications.DeleteApplication(request)
    rows = await psql.fetch("SELECT * FROM changes WHERE operation = 'DELETED' ORDER BY ordinal")
    assert [row["kind"] for row in rows] == ["CONFIGURATION"] * 3 + ["APPLICATION"]
    assert {row["revision"] for row in rows} == {deleted.revision}
    assert {(row["actor"], row["reason"]) for row in rows} == {("anonymous", "moved away")}
    assert await names(service) == ["web"]


async def test_an_empty_application_is_deleted_without_force(service: Service) -> None:
    await create_application(service, "shop")
    deleted = await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop"))
    assert deleted.revision == 2
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop"))


async def test_a_configuration_of_an_application_that_does_not_exist_is_not_found(service: Service) -> None:
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await create(service, "web", application="nowhere")
    request = CreateConfigurationRequest(application=ApplicationRef(id="0" * 26), name="web", config=Struct())
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await service.configurations.CreateConfiguration(request)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await service.configurations.GetConfiguration(GetConfigurationRequest(id="0" * 26))


async def test_validate_only_answers_as_if_done_and_keeps_nothing(service: Service, psql: Connection) -> None:
    tried = await create_application(service, "shop", comments="c", validate_only=True)
    assert (tried.name, tried.comments, tried.version, tried.revision) == ("shop", "c", 1, 0)
    created = await create_application(service, "shop")
    tried = await update(service, "shop", application=Application(name="store"), validate_only=True)
    assert (tried.id, tried.name, tried.version, tried.revision) == (created.id, "store", 2, 0)
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await create_application(service, "shop", validate_only=True)
    await create(service, "web")
    with failing(StatusCode.FAILED_PRECONDITION, "APPLICATION_NOT_EMPTY"):
        await service.applications.DeleteApplication(DeleteApplicationRequest(name="shop", validate_only=True))
    request = DeleteApplicationRequest(name="shop", force=True, validate_only=True)
    assert (await service.applications.DeleteApplication(request)).revision == 0
    assert await fetch(service, "shop") == created
    assert await head(service) == 2
    assert await psql.fetchval("SELECT count(*) FROM change_records") == 2


async def test_applications_are_listed_by_name_in_pages_of_one_revision(service: Service) -> None:
    for name in ("b", "a", "c-2", "c-1", "B"):
        await create_application(service, name)
    first = await service.applications.ListApplications(ListApplicationsRequest(page_size=2))
    await create_application(service, "b2")
    await update(service, "c-1", application=Application(name="a1", comments="renamed"))
    await service.applications.DeleteApplication(DeleteApplicationRequest(name="c-2"))
    request = ListApplicationsRequest(page_size=10, page_token=first.next_page_token)
    second = await service.applications.ListApplications(request)
    found = [*first.applications, *second.applications]
    assert [application.name for application in found] == ["B", "a", "b", "c-1", "c-2"]
    assert {application.version for application in found} == {1}
    assert first.revision == second.revision == 5
    assert not second.next_page_token
    again = await service.applications.ListApplications(ListApplicationsRequest(name_prefix="a"))
    assert [application.name for application in again.applications] == ["a", "a1"]
    assert again.revision == 8


async def test_a_page_of_applications_is_bound_to_its_request(service: Service) -> None:
    for name in ("a", "b"):
        await create_application(service, name)
    first = await service.applications.ListApplications(ListApplicationsRequest(page_size=1))
    async with refused(service, "page_token"):
        request = ListApplicationsRequest(page_token=first.next_page_token, name_prefix="b")
        await service.applications.ListApplications(request)


async def test_reads_of_applications_take_min_revision(service: Service) -> None:
    created = await create_application(service, "shop")
    request = GetApplicationRequest(name="shop", min_revision=created.revision)
    assert (await service.applications.GetApplication(request)).application == created
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN") as caught:
        await service.applications.GetApplication(GetApplicationRequest(name="shop", min_revision=2))
    assert error_info_of(caught.value).metadata["head_revision"] == "1"
    with failing(StatusCode.OUT_OF_RANGE, "REVISION_UNKNOWN"):
        await service.applications.ListApplications(ListApplicationsRequest(min_revision=2))


async def test_two_that_create_one_name_at_once_get_one_application(service: Service) -> None:
    answers = await asyncio.gather(
        *(service.applications.CreateApplication(CreateApplicationRequest(name="shop")) for _ in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, CreateApplicationResponse) for answer in answers) == 1
    assert await head(service) == 1


async def test_a_page_of_applications_ends_before_it_outgrows_what_clients_take(
    service: Service, psql: Connection
) -> None:
    await psql.execute(
        """INSERT INTO applications (name, comments)
        SELECT 'a' || lpad(number::text, 3, '0'), repeat('\N{GRINNING FACE}', 1024)
        FROM generate_series(0, 799) AS number"""
    )
    first = await service.applications.ListApplications(ListApplicationsRequest(page_size=1000))
    second = await service.applications.ListApplications(
        ListApplicationsRequest(page_size=1000, page_token=first.next_page_token)
    )
    assert not second.next_page_token
    shown = [application.name for application in (*first.applications, *second.applications)]
    assert shown == [f"a{number:03}" for number in range(800)]
