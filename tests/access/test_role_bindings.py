"""AccessService: who may create and delete which role bindings."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode

from configapi.v1.access_service_pb2 import (
    AUTHENTICATION_NONE,
    AUTHENTICATION_OIDC,
    CreateRoleBindingRequest,
    GetCallerRequest,
    ListRoleBindingsRequest,
    Role,
    RoleBinding,
)
from configapi.v1.application_pb2 import ApplicationRef
from configapi.v1.application_service_pb2 import DeleteApplicationRequest
from configapi.v1.audit_service_pb2 import RESOURCE_KIND_ROLE_BINDING, Change, ListChangesRequest
from configapi.v1.change_pb2 import CHANGE_TYPE_CREATED, CHANGE_TYPE_DELETED
from tests.access.bindings import ADMIN, EDITOR, VIEWER, bind, bindings, create_application, unbind
from tests.api.calls import creation, failing, fields_at_fault
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Service, reason_of, running_service
from tests.storage.reading import Session

ANY_ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
async def guarded(database_url: str, tmp_path: Path) -> AsyncGenerator[Service]:
    """Run a service that requires tokens, with the applications shop, of which ann is admin, and bank."""
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        await create_application(service, "shop")
        await create_application(service, "bank")
        await bind(service, "user:ann", ADMIN, "shop")
        yield service


def denied(caught: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> str:
    """Return the text of a denial."""
    assert caught.value.code() is StatusCode.PERMISSION_DENIED
    assert reason_of(caught.value) == "PERMISSION_DENIED"
    return caught.value.details() or ""


async def refused_creation(service: Service, by: str, request: CreateRoleBindingRequest) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.access.CreateRoleBinding(request, metadata=bearing(by))
    return denied(caught)


async def refused_deletion(service: Service, by: str, binding_id: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unbind(service, binding_id, by=by)
    return denied(caught)


async def changes(service: Service) -> list[Change]:
    request = ListChangesRequest(kind=RESOURCE_KIND_ROLE_BINDING)
    return [*(await service.audit.ListChanges(request, metadata=bearing("root"))).changes]


async def test_a_role_can_be_used_as_soon_as_its_creation_is_answered(guarded: Service) -> None:
    for number in range(10):
        await bind(guarded, f"user:editor{number}", EDITOR, "shop", by="ann")
        request = creation(f"web{number}")
        await guarded.configurations.CreateConfiguration(request, metadata=bearing(f"editor{number}"))
        await bind(guarded, f"group:team{number}", EDITOR, "shop")
        request = creation(f"api{number}")
        await guarded.configurations.CreateConfiguration(request, metadata=bearing("bob", f"team{number}"))


async def test_a_role_cannot_be_used_as_soon_as_its_deletion_is_answered(guarded: Service) -> None:
    for _ in range(10):
        binding = await bind(guarded, "user:bob", EDITOR, "shop")
        await unbind(guarded, binding.id)
        with failing(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
            await guarded.configurations.CreateConfiguration(creation("web"), metadata=bearing("bob"))


async def test_an_admin_of_an_application_gives_roles_for_that_alone(guarded: Service) -> None:
    shop = (await bind(guarded, "user:bob", EDITOR, "shop", by="ann")).application.id
    assert (await bind(guarded, "user:eve", ADMIN, ApplicationRef(id=shop), by="ann")).application.name == "shop"
    bank = (await bind(guarded, "user:bob", EDITOR, "bank")).application.id
    for principal in ("user:ann", "user:bob", "group:everybody"):
        for role in (VIEWER, EDITOR, ADMIN):
            request = CreateRoleBindingRequest(principal=principal, role=role, all_applications=Empty())
            assert await refused_creation(guarded, "ann", request) == "the role admin is needed for all applications"
            texts: list[str] = []
            for ref in (
                ApplicationRef(name="bank"),
                ApplicationRef(name="nope"),
                ApplicationRef(id=bank),
                ApplicationRef(id=ANY_ULID),
            ):
                request.application.CopyFrom(ref)
                texts.append((await refused_creation(guarded, "ann", request)).replace(ref.id or ref.name, "X"))
            assert set(texts) == {"the role admin is needed for application X"}


async def test_an_editor_gives_no_roles(guarded: Service) -> None:
    binding = await bind(guarded, "user:bob", EDITOR, "shop")
    await bind(guarded, "user:eve", EDITOR)
    for caller in ("bob", "eve", "nobody"):
        for application in (None, ApplicationRef(name="shop")):
            request = CreateRoleBindingRequest(principal=f"user:{caller}", role=VIEWER, application=application)
            if application is None:
                request.all_applications.SetInParent()
            await refused_creation(guarded, caller, request)
        await refused_deletion(guarded, caller, binding.id)
        with failing(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"):
            await bindings(guarded, by=caller)


async def test_a_deletion_of_what_is_not_the_callers_and_of_what_is_not_there_look_the_same(guarded: Service) -> None:
    mine = await bind(guarded, "user:bob", EDITOR, "shop")
    foreign = await bind(guarded, "user:bob", EDITOR, "bank")
    everywhere = await bind(guarded, "user:bob", VIEWER)
    texts = [
        (await refused_deletion(guarded, "ann", one)).replace(one, "X") for one in (foreign.id, everywhere.id, ANY_ULID)
    ]
    assert set(texts) == {"the role admin is needed for the application of role binding X"}
    await unbind(guarded, mine.id, by="ann")
    for caller, binding_id in (("ann", mine.id), ("root", mine.id), ("root", ANY_ULID)):
        with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
            await unbind(guarded, binding_id, by=caller)


async def test_a_role_is_given_once_and_shown_with_who_gave_it_and_why(guarded: Service) -> None:
    made = await bind(guarded, "group:ops team", VIEWER, "shop", by="ann", reason="they asked")
    assert (made.principal, made.role, made.application.name, made.created_by) == (
        "group:ops team",
        VIEWER,
        "shop",
        "user:ann",
    )
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await bind(guarded, "group:ops team", VIEWER, "shop")
    await bind(guarded, "group:ops team", VIEWER)
    with failing(StatusCode.ALREADY_EXISTS, "RESOURCE_EXISTS"):
        await bind(guarded, "group:ops team", VIEWER)
    await bind(guarded, "group:ops team", EDITOR, "shop")
    assert (await bind(guarded, "user:x", ADMIN, "shop", validate_only=True)).revision == 0
    assert await unbind(guarded, made.id, validate_only=True) == 0
    revision = await unbind(guarded, made.id, reason="over")
    gone, *_, first, _ann = await changes(guarded)
    assert (gone.type, gone.revision, gone.name, gone.role) == (CHANGE_TYPE_DELETED, revision, "group:ops team", VIEWER)
    assert (gone.origin.actor, gone.origin.reason, gone.application) == ("user:root", "over", "shop")
    assert (first.type, first.revision, first.name, first.role) == (
        CHANGE_TYPE_CREATED,
        made.revision,
        "group:ops team",
        VIEWER,
    )
    assert (first.origin.actor, first.origin.reason, first.resource_id) == ("user:ann", "they asked", made.id)


async def test_a_role_for_all_applications_must_be_meant(guarded: Service) -> None:
    request = CreateRoleBindingRequest(principal="user:bob", role=VIEWER)
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as caught:
        await guarded.access.CreateRoleBinding(request, metadata=bearing("root"))
    assert fields_at_fault(caught.value) == ["scope"]
    request.all_applications.SetInParent()
    made = await guarded.access.CreateRoleBinding(request, metadata=bearing("root"))
    assert made.role_binding.WhichOneof("scope") == "all_applications"
    assert (await bind(guarded, "user:bob", VIEWER, "shop")).WhichOneof("scope") == "application"


async def test_every_fault_of_a_request_for_a_role_is_listed(guarded: Service) -> None:
    request = CreateRoleBindingRequest(
        principal="bob", application=ApplicationRef(name="/"), reason="x" * 1025, request_id="1"
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await guarded.access.CreateRoleBinding(request, metadata=bearing("root"))
    assert sorted(fields_at_fault(caught.value)) == ["application.name", "principal", "reason", "request_id", "role"]
    for principal in ("user:", "user:a\nb", "role:x", "database:postgres", "anonymous", "user:" + "x" * 513):
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await bind(guarded, principal, VIEWER)
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await bind(guarded, "user:bob", VIEWER, "nope")


async def test_no_role_is_given_to_a_name_that_looks_like_another_one(guarded: Service, psql: Session) -> None:
    for principal in ("user:\u0430nn", "user:ann\u202e", "group:every\u200bbody", "certificate:\uff41nn"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await bind(guarded, principal, VIEWER)
        assert fields_at_fault(caught.value) == ["principal"]
        # Roles from before are found, and can be deleted.
        made = await psql.fetchval(
            "INSERT INTO role_bindings (principal, role) VALUES ($1, 'VIEWER') RETURNING id", principal
        )
        assert [one.id for one in await bindings(guarded, principal=principal)] == [made]
        await unbind(guarded, made)


async def test_a_token_of_a_name_that_looks_like_another_one_has_nothing_of_its_roles(guarded: Service) -> None:
    await bind(guarded, "user:ann", ADMIN)
    for name in ("\u0430nn", "ann\u200b", "\uff41nn"):
        caller = await guarded.access.GetCaller(GetCallerRequest(), metadata=bearing(name))
        assert (caller.principal, caller.role) == (f"user:{name}", Role.ROLE_UNSPECIFIED)


async def test_calls_about_roles_are_answered_again(guarded: Service) -> None:
    creating, deleting = str(uuid.uuid4()), str(uuid.uuid4())
    made = await bind(guarded, "user:bob", EDITOR, "shop", by="ann", request_id=creating)
    assert await bind(guarded, "user:bob", EDITOR, "shop", by="ann", request_id=creating) == made
    gone = await unbind(guarded, made.id, by="ann", request_id=deleting)
    assert await unbind(guarded, made.id, by="ann", request_id=deleting) == gone
    assert await bind(guarded, "user:bob", EDITOR, "shop", by="ann", request_id=creating) == made
    assert [one.principal for one in await bindings(guarded)] == ["user:ann"]


async def test_a_request_id_belongs_to_its_caller(guarded: Service) -> None:
    request_id = str(uuid.uuid4())
    bob = await bind(guarded, "user:bob", EDITOR, "shop", by="ann", request_id=request_id)
    carol = await bind(guarded, "user:carol", EDITOR, "shop", request_id=request_id)
    assert await bind(guarded, "user:bob", EDITOR, "shop", by="ann", request_id=request_id) == bob
    assert await bind(guarded, "user:carol", EDITOR, "shop", request_id=request_id) == carol
    with failing(StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED"):
        await bind(guarded, "user:dora", EDITOR, "shop", by="ann", request_id=request_id)


async def pages(service: Service, *, by: str = "root", **fields: object) -> list[list[RoleBinding]]:
    """Return the pages of a list, between which roles are given and taken away."""
    found: list[list[RoleBinding]] = []
    token = ""
    while not found or token:
        request = ListRoleBindingsRequest(page_size=2, page_token=token, **fields)  # pyright: ignore[reportArgumentType]
        response = await service.access.ListRoleBindings(request, metadata=bearing(by))
        found.append([*response.role_bindings])
        token = response.next_page_token
        await bind(service, f"user:new{uuid.uuid4()}", VIEWER, "shop")
        await unbind(service, (await bindings(service, principal="group:g4"))[0].id) if len(found) == 1 else None
    return found


async def test_a_list_of_roles_is_as_of_one_revision(guarded: Service) -> None:
    for number in range(5):
        await bind(guarded, f"group:g{number}", VIEWER, "shop")
    before = await bindings(guarded)
    found = await pages(guarded)
    assert [len(page) for page in found] == [2, 2, 2]
    assert [one for page in found for one in page] == before
    assert [one.id for one in before] == sorted(one.id for one in before)


async def test_a_list_shows_roles_for_the_applications_of_the_caller(guarded: Service) -> None:
    await bind(guarded, "user:bob", EDITOR, "shop")
    await bind(guarded, "user:bob", EDITOR, "bank")
    everywhere = await bind(guarded, "user:bob", VIEWER)
    assert [one.application.name for one in await bindings(guarded)] == ["shop", "shop", "bank", ""]
    assert [one.application.name for one in await bindings(guarded, by="ann")] == ["shop", "shop"]
    assert [one.application.name for one in await bindings(guarded, principal="user:bob", by="ann")] == ["shop"]
    assert [one.application.name for one in await bindings(guarded, application=ApplicationRef(name="bank"))] == [
        "bank"
    ]
    assert len(await bindings(guarded, application=ApplicationRef(name="shop"), by="ann")) == 2
    assert len(await bindings(guarded, min_revision=everywhere.revision)) == 4
    for ref in (ApplicationRef(name="bank"), ApplicationRef(name="nope"), ApplicationRef(id=ANY_ULID)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await bindings(guarded, application=ref, by="ann")
        assert denied(caught) == f"the role admin is needed for application {ref.id or ref.name}"
    with failing(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
        await bindings(guarded, application=ApplicationRef(name="nope"))
    # Another caller's token shows nothing more.
    first = await guarded.access.ListRoleBindings(ListRoleBindingsRequest(page_size=1), metadata=bearing("root"))
    request = ListRoleBindingsRequest(page_token=first.next_page_token)
    second = await guarded.access.ListRoleBindings(request, metadata=bearing("ann"))
    assert [one.application.name for one in second.role_bindings] == ["shop"]


async def test_the_last_admin_for_all_applications_is_not_removed(guarded: Service, psql: Session) -> None:
    one = await bind(guarded, "user:chief", ADMIN)
    await bind(guarded, "user:bob", EDITOR)
    await bind(guarded, "user:bob", ADMIN, "bank")
    for fields in ({}, {"validate_only": True}):
        for caller in ("chief", "root"):
            with failing(StatusCode.FAILED_PRECONDITION, "LAST_ADMIN"):
                await unbind(guarded, one.id, by=caller, **fields)
    other = await bind(guarded, "group:chiefs", ADMIN)
    await unbind(guarded, one.id, by="chief")
    with failing(StatusCode.FAILED_PRECONDITION, "LAST_ADMIN"):
        await unbind(guarded, other.id)
    # The deletion of an application removes only its own admins.
    request = DeleteApplicationRequest(name="bank", force=True)
    await guarded.applications.DeleteApplication(request, metadata=bearing("boss", "chiefs"))
    assert [(one.principal, one.application.name) for one in await bindings(guarded)] == [
        ("user:ann", "shop"),
        ("user:bob", ""),
        ("group:chiefs", ""),
    ]
    # SQL refuses nothing.
    await psql.execute("DELETE FROM role_bindings")
    assert await bindings(guarded) == []


async def test_of_two_that_remove_the_last_two_admins_one_is_refused(guarded: Service) -> None:
    left = await bind(guarded, "user:a0", ADMIN)
    for number in range(100):
        last_two = (left, await bind(guarded, f"user:b{number}", ADMIN))
        ends = await asyncio.gather(*(unbind(guarded, one.id) for one in last_two), return_exceptions=True)
        errors = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
        assert [reason_of(error) for error in errors] == ["LAST_ADMIN"]
        (left,) = [one for one, end in zip(last_two, ends, strict=True) if isinstance(end, grpc.aio.AioRpcError)]


async def test_callers_learn_who_they_are_and_what_they_may_do(guarded: Service) -> None:
    await bind(guarded, "group:shops", VIEWER)
    await bind(guarded, "user:ann", EDITOR, "bank")
    await bind(guarded, "group:shops", VIEWER, "bank")
    root = await guarded.access.GetCaller(GetCallerRequest(), metadata=bearing("root"))
    assert (root.principal, root.role, [*root.application_roles]) == ("user:root", ADMIN, [])
    ann = await guarded.access.GetCaller(GetCallerRequest(), metadata=bearing("ann", "shops", "a", exp=4102444800))
    assert (ann.principal, [*ann.groups], ann.authentication) == (
        "user:ann",
        ["group:a", "group:shops"],
        AUTHENTICATION_OIDC,
    )
    assert ann.expire_time.seconds == 4102444800 + 30
    assert ann.role == VIEWER
    assert [(one.application, one.role) for one in ann.application_roles] == [("bank", EDITOR), ("shop", ADMIN)]
    nobody = await guarded.access.GetCaller(GetCallerRequest(), metadata=bearing("nobody"))
    assert (nobody.role, [*nobody.application_roles]) == (Role.ROLE_UNSPECIFIED, [])
    with failing(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await guarded.access.GetCaller(GetCallerRequest())


async def test_without_authentication_everybody_is_admin(service: Service) -> None:
    caller = await service.access.GetCaller(GetCallerRequest())
    assert (caller.principal, caller.authentication, caller.role) == ("anonymous", AUTHENTICATION_NONE, ADMIN)
    assert not caller.HasField("expire_time")
