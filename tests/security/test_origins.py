"""Where each change came from: the peer of its call, and the change request that the call named."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from grpc import StatusCode

from configapi.v1.access_service_pb2 import CreateRoleBindingRequest, DeleteRoleBindingRequest
from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    ListApplicationsRequest,
    UpdateApplicationRequest,
)
from configapi.v1.audit_service_pb2 import Change, ListChangesRequest
from configapi.v1.configuration_pb2 import Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchWriteConfigurationsRequest,
    ConfigurationDeletionItem,
    ConfigurationWrite,
    DeleteConfigurationRequest,
    RollbackConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.schema_pb2 import SchemaVersionRef
from configapi.v1.schema_service_pb2 import (
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
    DeleteSchemaRequest,
    ImportedSchema,
    ImportSchemasRequest,
    MigrateConfigurationsRequest,
    SchemaVersionMode,
)
from tests.api.calls import create, create_application, creation, failing, key, update
from tests.bulk.operating import PER_ITEM, ended, item, messages
from tests.log.reading import Session
from tests.security.bindings import ADMIN, VIEWER
from tests.service import Service, connected, struct

SHOP = ApplicationRef(name="shop")


async def changes_after(service: Service, revision: int) -> list[Change]:
    request = ListChangesRequest(after_revision=revision, page_size=1000)
    return [*(await service.audit.ListChanges(request)).changes]


async def head(service: Service) -> int:
    return (await service.applications.ListApplications(ListApplicationsRequest(page_size=1))).revision


def named(change_request: str) -> Sequence[tuple[str, str]]:
    return (("x-change-request", change_request),)


async def test_every_change_tells_the_peer_and_the_change_request_of_its_call(service: Service) -> None:
    applications, configurations, schemas = service.applications, service.configurations, service.schemas
    binding: str = (
        await service.access.CreateRoleBinding(CreateRoleBindingRequest(principal="user:z", role=VIEWER))
    ).id

    async def after_import() -> None:
        """An import that makes an application too, and updates."""
        for config in ({"n": 1}, {"n": 2}):
            stream = messages(
                [item("i", config, application="made")], mode=PER_ITEM, create_applications=True, upsert=True
            )
            await ended(service, await configurations.ImportConfigurations(stream, metadata=named("CR-1 of ops")))

    async def after_migration() -> None:
        request = MigrateConfigurationsRequest(schema="s", to_version=3)
        await ended(service, await schemas.MigrateConfigurations(request, metadata=named("CR-1 of ops")))

    def with_metadata(method: Any, request: Any) -> Any:
        return lambda: method(request, metadata=named("CR-1 of ops"))

    steps: list[tuple[int, Any]] = [
        (1, with_metadata(applications.CreateApplication, CreateApplicationRequest(name="shop"))),
        (
            1,
            with_metadata(
                schemas.CreateSchema,
                CreateSchemaRequest(name="s", document=struct({"type": "object"}), closing="CLOSING_AS_WRITTEN"),
            ),
        ),
        (1, with_metadata(configurations.CreateConfiguration, creation("web", schema=SchemaVersionRef(schema="s")))),
        # The configuration that is pinned moves with it.
        (
            2,
            with_metadata(
                schemas.CreateSchemaVersion,
                CreateSchemaVersionRequest(
                    name="s", document=struct({"minProperties": 0}), closing="CLOSING_AS_WRITTEN"
                ),
            ),
        ),
        (
            1,
            with_metadata(
                schemas.CreateSchemaVersion,
                CreateSchemaVersionRequest(
                    name="s",
                    document=struct({"maxProperties": 9}),
                    closing="CLOSING_AS_WRITTEN",
                    mode=SchemaVersionMode.SCHEMA_VERSION_MODE_PINNED,
                ),
            ),
        ),
        (1, after_migration),
        (
            1,
            with_metadata(
                schemas.ImportSchemas, ImportSchemasRequest(schemas=[ImportedSchema(name="t", document=struct({}))])
            ),
        ),
        (1, with_metadata(schemas.DeleteSchema, DeleteSchemaRequest(name="t"))),
        (
            1,
            with_metadata(
                configurations.UpdateConfiguration,
                UpdateConfigurationRequest(key=key("web"), merge_patch=struct({"n": 1})),
            ),
        ),
        (
            1,
            with_metadata(
                configurations.UpdateConfiguration,
                UpdateConfigurationRequest(
                    key=key("web"), merge_patch=struct({"n": 2}), request_id="01ARZ3NDEKTSV4RRFFQ69G5FAV"
                ),
            ),
        ),
        (1, with_metadata(configurations.DeleteConfiguration, DeleteConfigurationRequest(key=key("web")))),
        (1, with_metadata(configurations.RollbackConfiguration, RollbackConfigurationRequest(key=key("web")))),
        (
            1,
            with_metadata(
                service.access.CreateRoleBinding,
                CreateRoleBindingRequest(principal="user:a", role=ADMIN, application=SHOP),
            ),
        ),
        # Its configuration carries the name.
        (
            2,
            with_metadata(
                applications.UpdateApplication,
                UpdateApplicationRequest(name="shop", application=Application(name="store")),
            ),
        ),
        # With it go its configuration and its role binding.
        (3, with_metadata(applications.DeleteApplication, DeleteApplicationRequest(name="store", force=True))),
        (1, with_metadata(service.access.DeleteRoleBinding, DeleteRoleBindingRequest(id=binding))),
        (3, after_import),
        (
            1,
            with_metadata(
                configurations.BatchWriteConfigurations,
                BatchWriteConfigurationsRequest(
                    writes=[ConfigurationWrite(delete=ConfigurationDeletionItem(key=key("i", "made")))]
                ),
            ),
        ),
    ]
    peers: set[str] = set()
    for number, (expected, step) in enumerate(steps):
        revision = await head(service)
        await step()
        found = await changes_after(service, revision)
        assert (number, len(found), {one.change_request for one in found}) == (number, expected, {"CR-1 of ops"})
        peers |= {one.peer for one in found}
    (peer,) = peers
    assert peer.startswith("ipv4:127.0.0.1:")


async def test_merged_writes_keep_the_origins_of_their_callers(service: Service) -> None:
    await create_application(service)
    async with connected(service.address, service.stop) as other:

        async def write(number: int) -> None:
            through = other if number % 2 else service
            name = creation(f"c{number}")
            if number % 3:
                await through.configurations.CreateConfiguration(name, metadata=named(f"CR-{number}"))
            else:
                await through.configurations.CreateConfiguration(name)
            deletion = DeleteConfigurationRequest(key=key(f"c{number}"))
            await through.configurations.DeleteConfiguration(deletion, metadata=named(f"gone-{number}"))

        await asyncio.gather(*(write(number) for number in range(60)))
        found = await changes_after(service, 1)
    assert len(found) == 120
    assert len({one.revision for one in found}) < 120
    peers: dict[bool, set[str]] = {False: set(), True: set()}
    for one in found:
        number = int(one.name[1:])
        made = f"CR-{number}" if number % 3 else ""
        assert one.change_request == (f"gone-{number}" if one.version == 2 else made)
        peers[number % 2 == 1].add(one.peer)
    assert (len(peers[False]), len(peers[True]), len(peers[False] | peers[True])) == (1, 1, 2)


async def test_what_runs_in_sql_has_no_origin(service: Service, psql: Session) -> None:
    await create_application(service)
    await create(service, "web")
    revision = await head(service)
    forged = """'{"peer": "ipv4:10.0.0.1:1", "change_request": "CR-9"}'"""
    for table in ("applications", "configurations"):
        await psql.execute(f"UPDATE {table} SET comments = 'x', update_origin = {forged}")
    await psql.execute(f"INSERT INTO schemas (name, update_origin) VALUES ('s', {forged})")
    await psql.execute(
        f"INSERT INTO role_bindings (principal, role, create_origin) VALUES ('user:a', 'ADMIN', {forged})"
    )
    for table in ("configurations", "role_bindings", "schemas", "applications"):
        await psql.execute(f"DELETE FROM {table}")
    found = await changes_after(service, revision)
    assert [(one.peer, one.change_request) for one in found] == [("", "")] * 8


async def test_no_field_of_a_request_forges_who_made_a_change(service: Service) -> None:
    await create_application(service)
    await create(service, "web")
    forged = Configuration(comments="x", created_by="user:eve", updated_by="user:eve")
    await update(service, "web", configuration=forged)
    for path in ("created_by", "updated_by", "update_origin", "peer"):
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await update(service, "web", configuration=forged, update_mask={"paths": [path]})
    headers = (
        ("x-forwarded-for", "10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("actor", "eve"),
    )
    request = DeleteConfigurationRequest(key=key("web"), reason='{"actor": "user:eve", "origin": {"peer": "eve"}}')
    await service.configurations.DeleteConfiguration(request, metadata=headers)
    for one in await changes_after(service, 0):
        assert (one.actor, one.change_request) == ("anonymous", "")
        assert one.peer.startswith("ipv4:127.0.0.1:")


@pytest.mark.parametrize("metadata", [named("x" * 257), named(""), (*named("a"), *named("b"))])
async def test_a_change_request_that_cannot_be_kept_is_refused(
    service: Service, metadata: Sequence[tuple[str, str]]
) -> None:
    with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=metadata)
    # Reads are not asked for it.
    await service.applications.ListApplications(ListApplicationsRequest(), metadata=metadata)
    longest = named("~" * 256)
    await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=longest)
    (made,) = await changes_after(service, 0)
    assert made.change_request == "~" * 256
