"""Expected versions and etags, changes of what may be missing, and what writes answer."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from configapi.v1.access_service_pb2 import CreateRoleBindingRequest, DeleteRoleBindingRequest
from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    DeleteApplicationResponse,
    GetApplicationRequest,
    ListApplicationsRequest,
    UpdateApplicationRequest,
    UpdateApplicationResponse,
)
from tests.access.bindings import ADMIN, VIEWER, bind
from tests.api.calls import Connection, create, create_application, failing, head, refused
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Door, Service, error_info_of, running_service
from tests.storage.reading import until_waiting

ANY_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def fetch(service: Service, name: str = "shop") -> Application:
    return (await service.applications.GetApplication(GetApplicationRequest(name=name))).application


async def update(service: Service, name: str = "shop", **fields: Any) -> UpdateApplicationResponse:
    return await service.applications.UpdateApplication(UpdateApplicationRequest(name=name, **fields))


async def delete(service: Service, name: str = "shop", **fields: Any) -> DeleteApplicationResponse:
    return await service.applications.DeleteApplication(DeleteApplicationRequest(name=name, **fields))


# Etags


async def test_every_way_to_read_an_application_shows_the_same_etag(service: Service) -> None:
    created = await create_application(service)
    listed = await service.applications.ListApplications(ListApplicationsRequest())
    unchanged = await update(service, application=Application(name="shop"))
    again = await service.applications.ListApplications(ListApplicationsRequest(as_of_revision=created.revision))
    found = (await fetch(service), listed.applications[0], unchanged.application, again.applications[0])
    assert created.etag
    assert {application.etag for application in found} == {created.etag}


async def test_every_version_of_every_application_has_another_etag(service: Service) -> None:
    etags = [(await create_application(service, name)).etag for name in ("a", "b")]
    etags += [(await update(service, "a", application=Application(comments=text))).application.etag for text in "xyx"]
    assert len(set(etags)) == 5


async def test_an_update_that_carries_the_etag_of_another_version_changes_nothing(service: Service) -> None:
    first = await create_application(service)
    first.comments = "mine"
    second = (await update(service, application=first)).application
    assert second.comments == "mine"
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
        await update(service, application=first, update_mask=FieldMask(paths=["comments"]))
    assert error_info_of(caught.value).metadata["current_version"] == "2"
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await update(service, application=Application(comments="new", etag="no etag"))
    assert (await update(service, application=second)).changed is False
    assert await fetch(service) == second


async def test_a_deletion_with_the_etag_of_another_version_changes_nothing(service: Service) -> None:
    first = await create_application(service)
    second = (await update(service, application=Application(comments="new"))).application
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await delete(service, expected_etag=first.etag)
    assert (await delete(service, expected_etag=second.etag)).changed


async def test_the_etag_of_a_deleted_application_is_not_that_of_the_next_one_with_its_name(service: Service) -> None:
    old = await create_application(service)
    await delete(service)
    new = await create_application(service)
    assert (new.version, new.etag == old.etag) == (old.version, False)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await update(service, application=Application(comments="new", etag=old.etag))
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await delete(service, expected_etag=old.etag)
    # A version is no protection here: both have the same one.
    assert (await delete(service, expected_version=old.version, expected_etag=new.etag)).changed


async def test_an_etag_is_checked_against_the_version_that_the_change_meets(service: Service, psql: Connection) -> None:
    created = await create_application(service)
    async with psql.transaction():
        await psql.execute("UPDATE applications SET comments = 'other'")
        waiting = asyncio.create_task(update(service, application=Application(comments="new", etag=created.etag)))
        await until_waiting(psql)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await waiting
    # The time of a version that SQL made is that of its commit too.
    current = await fetch(service)
    assert (await update(service, application=Application(comments="new", etag=current.etag))).changed


# Expected versions


@pytest.mark.parametrize("expected", [0, 2, 7])
async def test_an_expected_version_that_is_not_the_current_one_is_aborted(service: Service, expected: int) -> None:
    created = await create_application(service)
    for allow_missing in (False, True):
        fields: dict[str, Any] = {"expected_version": expected, "allow_missing": allow_missing}
        with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
            await update(service, application=Application(comments="new"), **fields)
        assert error_info_of(caught.value).metadata["current_version"] == "1"
        with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
            await delete(service, **fields)
    assert await fetch(service) == created


async def test_an_expected_version_that_is_not_set_is_not_checked(service: Service) -> None:
    await create_application(service)
    await update(service, application=Application(comments="a"))
    assert (await update(service, application=Application(comments="b"))).application.version == 3
    assert (await update(service, application=Application(comments="c"), expected_version=3)).changed
    assert (await delete(service, expected_version=4)).changed


@pytest.mark.parametrize("expected", [{}, {"expected_version": 0}, {"expected_version": 1}])
async def test_what_is_missing_and_may_not_be_is_not_found(service: Service, expected: dict[str, Any]) -> None:
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await update(service, application=Application(comments="new"), **expected)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await delete(service, **expected)


async def test_a_negative_expected_version_is_refused(service: Service) -> None:
    await create_application(service)
    async with refused(service, "expected_version"):
        await update(service, application=Application(comments="new"), expected_version=-1)
    async with refused(service, "expected_version"):
        await delete(service, expected_version=-1)


# What may be missing


async def test_an_update_may_create_what_is_missing_and_does_so_once(service: Service) -> None:
    wanted: dict[str, Any] = {"application": Application(name="shop", comments="c"), "allow_missing": True}
    created = await update(service, **wanted)
    assert (created.changed, created.revision, created.application.version) == (True, 1, 1)
    assert (created.application.name, created.application.comments) == ("shop", "c")
    again = await update(service, **wanted)
    assert (again.changed, again.revision, again.application) == (False, 1, created.application)
    changed = await update(service, application=Application(comments="d"), allow_missing=True)
    assert (changed.changed, changed.application.version, changed.application.comments) == (True, 2, "d")


async def test_an_application_can_be_ensured_by_its_name_alone(service: Service) -> None:
    created = await update(service, allow_missing=True)
    assert (created.changed, created.application.name, created.application.comments) == (True, "shop", "")
    await update(service, application=Application(comments="c"))
    ensured = await update(service, allow_missing=True)
    assert (ensured.changed, ensured.application.comments) == (False, "c")


async def test_what_is_missing_is_created_only_as_it_is_expected(service: Service) -> None:
    comments = Application(comments="c")
    unexpected: list[dict[str, Any]] = [
        {"application": comments, "expected_version": 1},
        {"application": Application(comments="c", etag="0123456789abcdef01234567")},
    ]
    for fields in unexpected:
        with failing(StatusCode.ABORTED, "VERSION_MISMATCH") as caught:
            await update(service, allow_missing=True, **fields)
        assert error_info_of(caught.value).metadata["current_version"] == "0"
    assert await head(service) == 0
    assert (await update(service, application=comments, allow_missing=True, expected_version=0)).changed
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await update(service, application=comments, allow_missing=True, expected_version=0)


async def test_what_is_missing_has_no_id_and_no_second_name(service: Service) -> None:
    comments = Application(comments="c")
    async with refused(service, "id"):
        request = UpdateApplicationRequest(id=ANY_ULID, application=comments, allow_missing=True)
        await service.applications.UpdateApplication(request)
    async with refused(service, "application.name"):
        await update(service, application=Application(name="store"), allow_missing=True)
    await create_application(service)
    # So it is whether or not the application exists: a request does not become wrong by a deletion.
    async with refused(service, "application.name"):
        await update(service, application=Application(name="store"), allow_missing=True)


async def test_of_many_that_create_what_is_missing_at_once_one_does(service: Service) -> None:
    wanted = Application(comments="c")
    answers = await asyncio.gather(*(update(service, application=wanted, allow_missing=True) for _ in range(8)))
    assert sorted(answer.changed for answer in answers) == [False] * 7 + [True]
    assert len({answer.application.etag for answer in answers}) == 1
    assert await head(service) == 1


async def test_what_a_session_creates_meanwhile_is_updated(service: Service, psql: Connection) -> None:
    async with psql.transaction():
        await psql.execute("INSERT INTO applications (name) VALUES ('shop')")
        waiting = asyncio.create_task(update(service, application=Application(comments="c"), allow_missing=True))
        await until_waiting(psql)
    updated = await waiting
    assert (updated.changed, updated.application.version, updated.application.comments) == (True, 2, "c")


async def test_a_deletion_may_find_nothing(service: Service) -> None:
    await create_application(service)
    first = await delete(service, allow_missing=True)
    assert (first.changed, first.revision) == (True, 2)
    more: list[dict[str, Any]] = [{}, {"expected_version": 1}, {"expected_version": 0}, {"expected_etag": "x"}]
    for fields in more:
        again = await delete(service, allow_missing=True, **fields)
        assert (again.changed, again.revision) == (False, 0)
    by_id = DeleteApplicationRequest(id=ANY_ULID, allow_missing=True)
    assert not (await service.applications.DeleteApplication(by_id)).changed
    assert await head(service) == 2


async def test_the_deletion_of_a_role_binding_may_find_nothing(service: Service) -> None:
    made = await service.access.CreateRoleBinding(
        CreateRoleBindingRequest(principal="user:ann", role=VIEWER, all_applications=Empty())
    )
    assert (made.changed, made.revision) == (True, made.role_binding.revision) == (True, 1)
    request = DeleteRoleBindingRequest(id=made.role_binding.id)
    deleted = await service.access.DeleteRoleBinding(request)
    assert (deleted.changed, deleted.revision) == (True, 2)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await service.access.DeleteRoleBinding(request)
    request.allow_missing = True
    again = await service.access.DeleteRoleBinding(request)
    assert (again.changed, again.revision) == (False, 0)
    assert await head(service) == 2


@pytest.fixture
async def guarded(database_url: str, door: Door, tmp_path: Path) -> AsyncGenerator[Service]:
    """Run a service that requires tokens, with the application shop, of which ann is admin."""
    async with running_service(database_url, door=door, **oidc_settings(tmp_path)) as service:
        await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=bearing("root"))
        await bind(service, "user:ann", ADMIN, "shop")
        yield service


@pytest.mark.parametrize("name", ["shop", "bank"])
async def test_only_an_admin_of_all_applications_may_create_what_is_missing(guarded: Service, name: str) -> None:
    request = UpdateApplicationRequest(name=name, application=Application(comments="c"), allow_missing=True)
    with failing(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
        await guarded.applications.UpdateApplication(request, metadata=bearing("ann"))
    assert (await guarded.applications.UpdateApplication(request, metadata=bearing("root"))).changed


async def test_a_deletion_that_may_find_nothing_does_not_tell_what_exists(guarded: Service) -> None:
    for name in ("shop", "bank", "nothing"):
        request = DeleteApplicationRequest(name=name, allow_missing=True, validate_only=True)
        with failing(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
            await guarded.applications.DeleteApplication(request, metadata=bearing("bob"))


# Answers


async def test_a_validate_only_request_answers_as_if_the_change_were_made(service: Service) -> None:
    dry: dict[str, Any] = {"validate_only": True}
    tried = await update(service, allow_missing=True, **dry)
    assert (tried.changed, tried.revision, tried.application.version, tried.application.etag) == (True, 0, 1, "")
    first = await service.applications.CreateApplication(CreateApplicationRequest(name="shop", **dry))
    assert (first.changed, first.revision, first.application.etag) == (True, 0, "")
    created = await create_application(service)
    changing = await update(service, application=Application(comments="new"), **dry)
    assert (changing.changed, changing.revision, changing.application.etag) == (True, 0, "")
    assert changing.application.version == 2
    keeping = await update(service, application=Application(name="shop"), **dry)
    assert (keeping.changed, keeping.revision, keeping.application) == (False, 1, created)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await update(service, application=Application(comments="new", etag="x"), **dry)
    deleting = await delete(service, **dry)
    assert (deleting.changed, deleting.revision) == (True, 0)
    missing = await delete(service, "bank", allow_missing=True, **dry)
    assert (missing.changed, missing.revision) == (False, 0)
    with failing(StatusCode.ABORTED, "VERSION_MISMATCH"):
        await delete(service, expected_version=0, **dry)
    assert await head(service) == 1


async def test_a_validate_only_request_about_roles_answers_as_if_the_change_were_made(service: Service) -> None:
    request = CreateRoleBindingRequest(principal="user:ann", role=VIEWER, all_applications=Empty(), validate_only=True)
    tried = await service.access.CreateRoleBinding(request)
    assert (tried.changed, tried.revision, tried.role_binding.principal) == (True, 0, "user:ann")
    made = await service.access.CreateRoleBinding(
        CreateRoleBindingRequest(principal="user:ann", role=VIEWER, all_applications=Empty())
    )
    for binding_id, changed in ((made.role_binding.id, True), (ANY_ULID, False)):
        deletion = DeleteRoleBindingRequest(id=binding_id, validate_only=True, allow_missing=True)
        answer = await service.access.DeleteRoleBinding(deletion)
        assert (answer.changed, answer.revision) == (changed, 0)
    assert await head(service) == 1


async def test_the_revision_of_an_update_that_changes_nothing_is_that_of_the_version(service: Service) -> None:
    created = await create_application(service)
    await create(service, "web")
    kept = await update(service, application=Application(name="shop"))
    assert (kept.changed, kept.revision, kept.application) == (False, created.revision, created)


async def test_a_repeated_call_about_applications_says_what_the_first_one_changed(service: Service) -> None:
    def new_id() -> str:
        return str(uuid.uuid4())

    creating = CreateApplicationRequest(name="shop", request_id=new_id())
    ensuring = UpdateApplicationRequest(name="bank", allow_missing=True, request_id=new_id())
    keeping = UpdateApplicationRequest(name="shop", application=Application(name="shop"), request_id=new_id())
    changing = UpdateApplicationRequest(name="shop", application=Application(comments="c"), request_id=new_id())
    deleting = DeleteApplicationRequest(name="shop", request_id=new_id())
    missing = DeleteApplicationRequest(name="later", allow_missing=True, request_id=new_id())
    call = service.applications
    created = await call.CreateApplication(creating)
    ensured = await call.UpdateApplication(ensuring)
    kept = await call.UpdateApplication(keeping)
    changed = await call.UpdateApplication(changing)
    deleted = await call.DeleteApplication(deleting)
    nothing = await call.DeleteApplication(missing)
    assert [one.changed for one in (created, ensured, kept, changed, deleted, nothing)] == [
        *(True, True, False),
        *(True, True, False),
    ]
    # What the calls would meet now does not matter.
    await create_application(service, "later")
    await delete(service, "bank")
    before = await head(service)
    assert await call.CreateApplication(creating) == created
    assert await call.UpdateApplication(ensuring) == ensured
    assert await call.UpdateApplication(keeping) == kept
    assert await call.UpdateApplication(changing) == changed
    assert await call.DeleteApplication(deleting) == deleted
    assert await call.DeleteApplication(missing) == nothing
    assert await head(service) == before
    assert await fetch(service, "later")


async def test_a_repeated_call_about_roles_says_what_the_first_one_changed(service: Service) -> None:
    creating = CreateRoleBindingRequest(
        principal="user:ann", role=VIEWER, all_applications=Empty(), request_id=str(uuid.uuid4())
    )
    created = await service.access.CreateRoleBinding(creating)
    deleting = DeleteRoleBindingRequest(id=created.role_binding.id, request_id=str(uuid.uuid4()))
    missing = DeleteRoleBindingRequest(id=ANY_ULID, allow_missing=True, request_id=str(uuid.uuid4()))
    deleted, nothing = [await service.access.DeleteRoleBinding(one) for one in (deleting, missing)]
    assert (created.changed, deleted.changed, nothing.changed) == (True, True, False)
    assert await service.access.CreateRoleBinding(creating) == created
    assert [await service.access.DeleteRoleBinding(one) for one in (deleting, missing)] == [deleted, nothing]
    assert await head(service) == 2
