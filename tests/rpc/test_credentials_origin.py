"""Origins of changes: the peer of the call, and the change request that it named."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.longrunning.operations_proto_pb2 import Operation
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode
from structlog.testing import capture_logs
from ulid import ULID

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
    UndeleteConfigurationRequest,
    UpdateConfigurationRequest,
)
from configapi.v1.schema_pb2 import Closing
from configapi.v1.schema_service_pb2 import (
    CreateSchemaRequest,
    CreateSchemaVersionRequest,
    DeleteSchemaRequest,
    ImportedSchema,
    ImportSchemasRequest,
    MigrateConfigurationsRequest,
    SchemaVersionMode,
)
from configsvc.domain.content import JsonObject
from tests.access.bindings import ADMIN, VIEWER
from tests.api.calls import create, create_application, creation, failing, key, update
from tests.operations.operating import PER_ITEM, ended, item, messages
from tests.service import Service, connected, running_service, struct
from tests.storage.reading import Session


async def changes_after(service: Service, revision: int) -> list[Change]:
    request = ListChangesRequest(after_revision=revision, page_size=1000)
    return [*(await service.audit.ListChanges(request)).changes]


async def head(service: Service) -> int:
    return (await service.applications.ListApplications(ListApplicationsRequest(page_size=1))).revision


def named(change_request: str) -> Sequence[tuple[str, str]]:
    return (("x-change-request", change_request),)


@dataclass(slots=True)
class Witness:
    """A reader of the changes that each call made, one call after the other."""

    service: Service
    revision: int = 0
    peers: set[str] = field(default_factory=set[str])

    async def see(self, count: int, call: Awaitable[object]) -> None:
        """Check that the call made that many changes, and that all of them name its change request."""
        answer = await call
        if isinstance(answer, Operation):
            await ended(self.service, answer)
        found = await changes_after(self.service, self.revision)
        assert [one.origin.change_request for one in found] == ["CR-1 of ops"] * count
        self.peers |= {one.peer for one in found}
        self.revision = found[0].revision


async def test_every_change_tells_the_peer_and_the_change_request_of_its_call(service: Service) -> None:
    applications, configurations, access = service.applications, service.configurations, service.access
    witness, cr = Witness(service), named("CR-1 of ops")
    await witness.see(1, applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=cr))
    await witness.see(1, configurations.CreateConfiguration(creation("web"), metadata=cr))
    patched = UpdateConfigurationRequest(key=key("web"), merge_patch=struct({"n": 1}), request_id=str(ULID()))
    await witness.see(1, configurations.UpdateConfiguration(patched, metadata=cr))
    await witness.see(1, configurations.DeleteConfiguration(DeleteConfigurationRequest(key=key("web")), metadata=cr))
    restored = UndeleteConfigurationRequest(key=key("web"))
    await witness.see(1, configurations.UndeleteConfiguration(restored, metadata=cr))
    rolled_back = RollbackConfigurationRequest(key=key("web"), version=1)
    await witness.see(1, configurations.RollbackConfiguration(rolled_back, metadata=cr))
    to_all = CreateRoleBindingRequest(principal="user:a", role=VIEWER, all_applications=Empty())
    everywhere = (await access.CreateRoleBinding(to_all, metadata=cr)).role_binding
    witness.revision = everywhere.revision
    await witness.see(1, access.DeleteRoleBinding(DeleteRoleBindingRequest(id=everywhere.id), metadata=cr))
    bound = CreateRoleBindingRequest(principal="user:a", role=ADMIN, application=ApplicationRef(name="shop"))
    await witness.see(1, access.CreateRoleBinding(bound, metadata=cr))
    # Its configuration carries the name.
    renamed = UpdateApplicationRequest(name="shop", application=Application(name="store"))
    await witness.see(2, applications.UpdateApplication(renamed, metadata=cr))
    # Its configuration and its role binding are deleted with it.
    request = DeleteApplicationRequest(name="store", force=True)
    await witness.see(3, applications.DeleteApplication(request, metadata=cr))
    (peer,) = witness.peers
    assert peer.startswith("ipv4:127.0.0.1:")


async def test_every_change_of_many_tells_the_peer_and_the_change_request_of_its_call(service: Service) -> None:
    configurations, schemas = service.configurations, service.schemas
    witness, cr = Witness(service), named("CR-1 of ops")

    def version(document: JsonObject, **fields: Any) -> CreateSchemaVersionRequest:
        return CreateSchemaVersionRequest(
            name="s", document=struct(document), closing=Closing.CLOSING_AS_WRITTEN, **fields
        )

    made = CreateSchemaRequest(name="s", document=struct({"type": "object"}), closing=Closing.CLOSING_AS_WRITTEN)
    await witness.see(1, schemas.CreateSchema(made, metadata=cr))
    # The application is made too; then the configuration is updated.
    for number, count in ((1, 2), (2, 1)):
        stream = messages(
            [item("web", {"n": number}, schema="s")], mode=PER_ITEM, create_applications=True, upsert=True
        )
        await witness.see(count, configurations.ImportConfigurations(stream, metadata=cr))
    # The configuration that is pinned moves with it.
    await witness.see(2, schemas.CreateSchemaVersion(version({"minProperties": 0}), metadata=cr))
    pinned = version({"maxProperties": 9}, mode=SchemaVersionMode.SCHEMA_VERSION_MODE_PINNED)
    await witness.see(1, schemas.CreateSchemaVersion(pinned, metadata=cr))
    migration = MigrateConfigurationsRequest(schema="s", to_version=3, all_configurations=Empty())
    await witness.see(1, schemas.MigrateConfigurations(migration, metadata=cr))
    imported = ImportSchemasRequest(schemas=[ImportedSchema(name="t", document=struct({}))])
    await witness.see(1, schemas.ImportSchemas(imported, metadata=cr))
    await witness.see(1, schemas.DeleteSchema(DeleteSchemaRequest(name="t"), metadata=cr))
    deletion = ConfigurationWrite(deletion=ConfigurationDeletionItem(key=key("web")))
    batch = BatchWriteConfigurationsRequest(writes=[deletion])
    await witness.see(1, configurations.BatchWriteConfigurations(batch, metadata=cr))
    (peer,) = witness.peers
    assert peer.startswith("ipv4:127.0.0.1:")


async def test_a_group_commit_keeps_the_origins_of_its_callers(service: Service) -> None:
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
        assert one.origin.change_request == (f"gone-{number}" if one.version == 2 else made)
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
    assert [(one.peer, one.origin.change_request) for one in found] == [("", "")] * 8


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
        assert (one.origin.actor, one.origin.change_request) == ("anonymous", "")
        assert one.peer.startswith("ipv4:127.0.0.1:")


async def test_a_change_request_that_cannot_be_kept_is_refused(service: Service) -> None:
    for metadata in (named("x" * 257), named(""), (*named("a"), *named("b"))):
        with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=metadata)
        # Reads are not asked for it.
        await service.applications.ListApplications(ListApplicationsRequest(), metadata=metadata)
    longest = named("~" * 256)
    await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=longest)
    (made,) = await changes_after(service, 0)
    assert made.origin.change_request == "~" * 256


async def test_behind_a_trusted_proxy_the_audit_trail_and_the_log_name_the_client(
    database_url: str,
) -> None:
    client = (("x-forwarded-for", "10.9.9.9, 2001:db8::7"),)
    with capture_logs() as lines:
        async with running_service(database_url, trusted_proxies="10.0.0.1,127.0.0.0/8") as service:
            await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=client)
            with failing(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
                await service.applications.CreateApplication(CreateApplicationRequest(name=".."), metadata=client)
            (made,) = await changes_after(service, 0)
    assert made.peer == "ipv6:%5B2001:db8::7%5D"
    calls = [line["peer"] for line in lines if line.get("method") == "ApplicationService/CreateApplication"]
    assert calls == [made.peer] * 2
