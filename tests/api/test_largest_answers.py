"""The largest answer of every method: clients accept messages of 4 MiB, and none of ours has more than 3.

Each driver makes the largest answers of its methods that can be had. A method without a driver fails the test.
"""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import (
    CancelOperationRequest,
    DeleteOperationRequest,
    ListOperationsRequest,
)
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthListRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from configapi.v1.access_service_pb2 import (
    ROLE_VIEWER,
    CreateRoleBindingRequest,
    DeleteRoleBindingRequest,
    GetCallerRequest,
    ListRoleBindingsRequest,
)
from configapi.v1.application_pb2 import Application, ApplicationRef
from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    GetApplicationRequest,
    ListApplicationsRequest,
    UpdateApplicationRequest,
)
from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_pb2 import CONFIGURATION_VIEW_FULL, Configuration
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    DiffConfigurationVersionsRequest,
    ExportConfigurationsRequest,
    ListConfigurationVersionsRequest,
    RollbackConfigurationRequest,
    UndeleteConfigurationRequest,
    WatchConfigurationsRequest,
    WatchInstance,
)
from configapi.v1.schema_pb2 import CLOSING_CLOSED, SchemaVersionRef
from configapi.v1.schema_service_pb2 import (
    MigrateConfigurationsRequest,
)
from configapi.v1.selector_pb2 import ConfigurationSelector
from configapi.v1.server_service_pb2 import GetServerStatusRequest, ListWatchesRequest
from configapi.v1.source_service_pb2 import (
    AcquireSourceLeaseRequest,
    ReleaseSourceLeaseRequest,
    ReleaseSourceRequest,
)
from configsvc.domain.content import MAX_CONTENT_BYTES, JsonObject, JsonValue
from configsvc.domain.sizes import MAX_RESPONSE_BYTES
from tests.api import calls, sources
from tests.api.calls import Connection, failing, head, key, key_ref
from tests.doors.marks import grpc_only
from tests.identity.tokens import bearing, oidc_settings
from tests.operations.operating import PER_ITEM, begin, ended, imported, item, items_of, operation_of
from tests.rpc.served import served_methods
from tests.schemas import calls as schemas
from tests.service import Door, Service, over_http, running_service, service_on, struct
from tests.writes import batches

# The longest texts: of 1,024 characters, in four bytes each, and names of 256.
LONG = "\N{GRINNING FACE}" * 1024
MANY = 1000
# Small numbers take the most bytes as a Struct: eleven for two of JSON.
ZEROS: JsonObject = {"a": list[JsonValue]([0]) * ((MAX_CONTENT_BYTES - 8) // 2)}
ONES: JsonObject = {"a": list[JsonValue]([1]) * ((MAX_CONTENT_BYTES - 8) // 2)}
# The largest as text.
TEXTS: tuple[JsonObject, JsonObject] = ({"a": "x" * (MAX_CONTENT_BYTES - 8)}, {"a": "y" * (MAX_CONTENT_BYTES - 8)})
# A key, and so a JSON Pointer to each of its members, nearly as long as a content.
LONG_KEY = "k" * (MAX_CONTENT_BYTES - 8192)


@dataclass(frozen=True, slots=True)
class Stage:
    """A service with an application, and the sizes of all messages that it has sent, by method."""

    service: Service
    psql: Connection
    sizes: dict[str, list[int]]
    database_url: str
    folder: Path


class Recorder:
    """A channel that notes the size of each message that it receives."""

    def __init__(self, channel: grpc.aio.Channel, sizes: dict[str, list[int]]) -> None:
        self._channel = channel
        self._sizes = sizes

    def __getattr__(self, kind: str) -> Any:
        make = getattr(self._channel, kind)

        def made(path: str, request_serializer: Any = None, response_deserializer: Any = bytes, **more: Any) -> Any:
            def read(data: bytes) -> Any:
                self._sizes[path].append(len(data))
                return response_deserializer(data)

            return make(path, request_serializer=request_serializer, response_deserializer=read, **more)

        return made


def recorded_by(service: Service, sizes: dict[str, list[int]]) -> Service:
    """Return the service with stubs that note the sizes of all answers, as messages of protobuf."""
    if service.http:
        return over_http(service, replace(service.http, received=lambda path, size: sizes[path].append(size)))
    channel: Any = Recorder(service.channel, sizes)
    return service_on(channel, service.address, service.stop)


@pytest.fixture
async def stage(service: Service, psql: Connection, database_url: str, tmp_path: Path) -> Stage:
    sizes: dict[str, list[int]] = defaultdict(list)
    recorded = recorded_by(service, sizes)
    await calls.create_application(recorded, "shop", comments=LONG)
    return Stage(recorded, psql, sizes, database_url, tmp_path)


async def applications(stage: Stage) -> None:
    """Applications with the longest names and comments; more of them than a page can hold."""
    stub = stage.service.applications
    new = "n" * 256
    await stub.CreateApplication(CreateApplicationRequest(name="old", comments=LONG, reason=LONG))
    await stub.UpdateApplication(
        UpdateApplicationRequest(name="old", application=Application(name=new, comments=LONG), reason=LONG)
    )
    await stub.GetApplication(GetApplicationRequest(name=new))
    await stub.DeleteApplication(DeleteApplicationRequest(name=new))
    await stage.psql.execute(
        "INSERT INTO applications (name, comments) SELECT lpad(n::text, 256, 'a'), $1 FROM generate_series(1, $2) AS n",
        LONG,
        MANY,
    )
    await stub.ListApplications(ListApplicationsRequest(page_size=MANY))


async def access(stage: Stage) -> None:
    """Principals with the longest names."""
    stub = stage.service.access
    await stage.psql.execute(
        """
        INSERT INTO role_bindings (principal, role, application_id)
        SELECT 'user:' || n || repeat($1, 500), 'VIEWER', id FROM applications, generate_series(1000, 2999) AS n
        """,
        "\N{GRINNING FACE}",
    )
    await stub.CreateRoleBinding(
        CreateRoleBindingRequest(
            principal=f"user:{'x' * 512}", role=ROLE_VIEWER, application=ApplicationRef(name="shop"), reason=LONG
        )
    )
    found = await stub.ListRoleBindings(ListRoleBindingsRequest(page_size=MANY))
    await stub.DeleteRoleBinding(DeleteRoleBindingRequest(id=found.role_bindings[0].id))


async def caller(stage: Stage) -> None:
    """A caller with as many groups as a token can hold, and roles for more applications than an answer names."""
    groups = [f"g{number}" for number in range(900)]
    await stage.psql.execute(
        "INSERT INTO applications (name) SELECT lpad(n::text, 256, 'a') FROM generate_series(1, $1) AS n", MANY + 1
    )
    await stage.psql.execute(
        "INSERT INTO role_bindings (principal, role, application_id) SELECT 'group:g1', 'EDITOR', id FROM applications"
    )
    async with running_service(stage.database_url, door=stage.service.door, **oidc_settings(stage.folder)) as service:
        stub = recorded_by(service, stage.sizes).access
        found = await stub.GetCaller(GetCallerRequest(), metadata=bearing("u" * 512, *groups))
    assert (len(found.groups), len(found.application_roles), found.more_application_roles) == (900, MANY, True)


async def configurations(stage: Stage) -> None:
    """Contents that are largest as a Struct, alone and in lists, exports and watches."""
    service, stub = stage.service, stage.service.configurations
    # Over HTTP, contents are text.
    over_http = service.door is Door.HTTP
    count, zeros, ones = (13, *TEXTS) if over_http else (4, ZEROS, ONES)
    refs = [key_ref(f"c{number}") for number in range(count)]
    for number in range(count):
        await calls.create(service, f"c{number}", zeros, comments=LONG, reason=LONG)
        await calls.update(service, f"c{number}", configuration=Configuration(config=struct(ones)))
        await calls.get(service, f"c{number}")
        if over_http:
            await calls.update(service, "c0", configuration=Configuration(config=struct(zeros if number % 2 else ones)))
    await stub.BatchGetConfigurations(BatchGetConfigurationsRequest(refs=refs[: count * 2 // 3]))
    with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE"):
        await stub.BatchGetConfigurations(BatchGetConfigurationsRequest(refs=refs))
    assert len(await calls.pages(service, page_size=MANY)) == 2
    await stub.ListConfigurationVersions(
        ListConfigurationVersionsRequest(key=key("c0"), view=CONFIGURATION_VIEW_FULL, page_size=MANY)
    )
    await stub.DiffConfigurationVersions(DiffConfigurationVersionsRequest(key=key("c0")))
    await stub.RollbackConfiguration(RollbackConfigurationRequest(key=key("c0"), version=1, reason=LONG))
    exported = [message async for message in stub.ExportConfigurations(ExportConfigurationsRequest())]
    assert sum(len(message.items) for message in exported) == count
    watch = stub.WatchConfigurations(WatchConfigurationsRequest())
    async for message in watch:
        if message.synced:
            await calls.update(service, "c0", configuration=Configuration(config=struct(ones)), reason=LONG)
        elif any(event.change for event in message.events):
            break
    watch.cancel()
    await calls.delete(service, "c0", reason=LONG)
    await stub.UndeleteConfiguration(UndeleteConfigurationRequest(key=key("c0"), reason=LONG))


async def batch(stage: Stage) -> None:
    """Writes whose outcomes have long comments that the request does not repeat."""
    service = stage.service
    await stage.psql.execute(
        """
        INSERT INTO configurations (application, name, comments, config)
        SELECT 'shop', lpad(n::text, 256, 'c'), $1, '{}' FROM generate_series(1, $2) AS n
        """,
        LONG,
        MANY,
    )
    found = await calls.names(service, page_size=MANY)
    changes = [batches.patch(name, {"a": 1}) for name in found]
    before = await head(service)
    with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE"):
        await batches.write(service, *changes, reason=LONG)
    assert await head(service) == before
    response = await batches.write(service, *changes[:620], reason=LONG)
    assert len(response.outcomes) == 620


async def owned(stage: Stage) -> None:
    """Sources with the longest texts, and writes as in a batch."""
    service, stub = stage.service, stage.service.sources
    await stage.psql.execute(
        """
        INSERT INTO configurations (application, name, comments, config)
        SELECT 'shop', lpad(n::text, 256, 'c'), $1, '{}' FROM generate_series(1, 620) AS n
        """,
        LONG,
    )
    source = sources.revision(LONG[:256], repository=LONG, path=LONG)
    writes = [batches.patch(name, {"a": 1}) for name in await calls.names(service, page_size=MANY)]
    applied = await sources.apply(service, "shop", *writes, source=source, adopt=True)
    assert applied.source.applied_count == 620
    await stage.psql.execute(
        "INSERT INTO applications (name) SELECT lpad(n::text, 256, 'a') FROM generate_series(1, $1) AS n", MANY
    )
    await stage.psql.execute(
        """
        INSERT INTO application_sources (application_id, repository, path, commit, version, apply_time, applied_by)
        SELECT id, $1, $1, $2, 1, now(), $2 FROM applications WHERE name <> 'shop'
        """,
        LONG,
        LONG[:256],
    )
    assert len(await sources.sources(service, page_size=MANY)) < MANY
    assert len(await sources.marks(service, "shop")) == 620
    shop = ApplicationRef(name="shop")
    await stub.ReleaseSource(ReleaseSourceRequest(application=shop))
    lease: dict[str, Any] = {"repository": LONG, "path": LONG, "holder": LONG[:256]}
    await stub.AcquireSourceLease(AcquireSourceLeaseRequest(**lease, duration=Duration(seconds=5)))
    await stub.ReleaseSourceLease(ReleaseSourceLeaseRequest(**lease))


def with_additions(count: int, key: str) -> JsonObject:
    """Return a schema to which closing adds this many keywords, each with the key in its JSON Pointer."""
    objects: JsonObject = {str(number): {"properties": {"a": {}}} for number in range(count)}
    return {"properties": {key: {"properties": objects}}}


async def additions(stage: Stage) -> None:
    """Schemas to which closing adds many keywords, with long JSON Pointers."""
    service = stage.service
    for number, document in enumerate((with_additions(MANY, "k" * 1000), with_additions(99, "k" * 100_000))):
        name = f"s{number}"
        await schemas.create_schema(service, name, document, comments=LONG, closing=CLOSING_CLOSED)
        changed: JsonObject = {**document, "title": "t"}
        await schemas.create_version(service, changed, name, closing=CLOSING_CLOSED)
        await schemas.check_version(service, document, name, closing=CLOSING_CLOSED)
        await schemas.get_version(service, name)
        await schemas.version_pages(service, name, page_size=MANY)
        await schemas.get_schema(service, name)
    few = with_additions(99, "k" * 130)
    new = {f"i{number}": few for number in range(150)}
    await schemas.import_schemas(service, new, closing=CLOSING_CLOSED)
    await schemas.import_schemas(
        service, {f"j{number}": with_additions(99, "k" * 100_000) for number in range(10)}, closing=CLOSING_CLOSED
    )
    await stage.psql.execute(
        "INSERT INTO schemas (name, comments) SELECT lpad(n::text, 256, 'a'), $1 FROM generate_series(1, $2) AS n",
        LONG,
        MANY,
    )
    await schemas.schema_pages(service, page_size=MANY)
    await schemas.delete_schema(service, "i0")


async def documents(stage: Stage) -> None:
    """Documents that are largest as a Struct."""
    service = stage.service
    # As many as a request can hold: a Struct takes five times the bytes of the JSON.
    zeros = list[JsonValue]([0]) * 270_000
    await schemas.create_schema(service, "web")
    await schemas.add_version(service, {"examples": zeros})
    await schemas.get_version(service)
    await schemas.version_pages(service, page_size=MANY)


async def offenders(stage: Stage) -> None:
    """Configurations that violate a schema in many places, each with a JSON Pointer as long as a content."""
    service = stage.service
    inner: JsonObject = {"additionalProperties": {"type": "string"}}
    await schemas.create_schema(service, "web", {"additionalProperties": inner})
    faulty = json.dumps({LONG_KEY: {str(number): 1 for number in range(100)}})
    await schemas.add_version(service, {"title": "open"})
    await schemas.pin(stage.psql, *(f"c{number}" for number in range(100)), version=2, config=faulty)
    checked = await schemas.check_version(service, {"additionalProperties": inner, "title": "closed"})
    assert checked.offender_count == 100
    operation = await imported(service, item("bad", json.loads(faulty), schema="web@1"), mode=PER_ITEM)
    await items_of(service, operation)


async def operations(stage: Stage) -> None:
    """Operations with the longest reasons, and items with a content before and after."""
    service = stage.service
    await schemas.create_schema(service, "web", {})
    await schemas.add_version(service, {"title": "t"})
    for number in range(2):
        await calls.create(service, f"c{number}", ZEROS, schema=SchemaVersionRef(schema="web", version=1))
    request = MigrateConfigurationsRequest(
        schema="web", merge_patch=struct({"b": 1}), validate_only=True, reason=LONG, all_configurations=Empty()
    )
    moved = await ended(service, await service.schemas.MigrateConfigurations(request))
    await items_of(service, moved, page_size=MANY)
    operation = await begin(service, item("c9", {}), reason=LONG)
    await ended(service, operation)
    await operation_of(service, operation.name)
    await service.operations.CancelOperation(CancelOperationRequest(name=operation.name))
    await service.operations.DeleteOperation(DeleteOperationRequest(name=operation.name))
    await stage.psql.execute(
        """
        INSERT INTO operations (id, kind, state, settings, actor, reason, request_id, validate_only, end_time)
        SELECT
            generate_ulid(), 'IMPORT_CONFIGURATIONS', 'CANCELLED', '{"application_ids": [], "atomic": true}',
            'user:' || repeat($1, 512), repeat($1, 1024), '', false, now()
        FROM generate_series(1, $2)
        """,
        "\N{GRINNING FACE}",
        MANY,
    )
    await service.operations.ListOperations(ListOperationsRequest(page_size=MANY))


async def audit(stage: Stage) -> None:
    """Changes with the longest names and reasons."""
    service = stage.service
    for first in range(0, MANY, 250):
        made = [batches.creation(f"{number:0>256}", {}) for number in range(first, first + 250)]
        await batches.write(service, *made, reason=LONG)
    found = await service.audit.ListChanges(ListChangesRequest(page_size=MANY))
    assert found.next_page_token


async def server(stage: Stage) -> None:
    """The status, and open watches with as many selectors and labels as they can have."""
    service = stage.service
    await service.server.GetServerStatus(GetServerStatusRequest())
    wanted = [f"{number:0>256}" for number in range(100)]
    request = WatchConfigurationsRequest(
        selectors=[ConfigurationSelector(names=wanted, name_prefix=str(number)) for number in range(100)],
        instance=WatchInstance(id=LONG[:256], labels={f"{number:0>63}": LONG[:256] for number in range(32)}),
    )
    open_ones = [service.configurations.WatchConfigurations(request) for _ in range(8)]
    for watch in open_ones:
        await anext(aiter(watch))
    found = await service.server.ListWatches(ListWatchesRequest(page_size=MANY))
    assert found.next_page_token
    for watch in open_ones:
        watch.cancel()


async def libraries(stage: Stage) -> None:
    """Health of all services, and the descriptions of all services."""
    service = stage.service
    await service.health.Check(HealthCheckRequest())
    await service.health.List(HealthListRequest())
    watch = service.health.Watch(HealthCheckRequest())
    await watch.read()
    watch.cancel()
    names = {method.descriptor.containing_service.full_name for method in await served_methods(service)}
    asked = [ServerReflectionRequest(list_services="")]
    asked += [ServerReflectionRequest(file_containing_symbol=name) for name in names]
    for version in ("v1", "v1alpha"):
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        call: Any = service.channel.stream_stream(path, ServerReflectionRequest.SerializeToString)
        answers = [data async for data in call(iter(asked))]
        assert len(answers) == len(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """The methods that a driver calls; of `filled`, it makes an answer nearly as large as an answer can be."""

    methods: str
    filled: str = ""


DRIVERS: dict[Callable[[Stage], Awaitable[None]], Driven] = {
    applications: Driven(
        methods="CreateApplication GetApplication UpdateApplication DeleteApplication ListApplications",
        filled="ListApplications",
    ),
    access: Driven(methods="CreateRoleBinding DeleteRoleBinding ListRoleBindings"),
    caller: Driven(methods="GetCaller"),
    configurations: Driven(
        methods="CreateConfiguration UpdateConfiguration GetConfiguration BatchGetConfigurations ListConfigurations "
        "ListConfigurationVersions DiffConfigurationVersions RollbackConfiguration ExportConfigurations "
        "WatchConfigurations DeleteConfiguration UndeleteConfiguration",
        filled="BatchGetConfigurations ListConfigurations ListConfigurationVersions",
    ),
    batch: Driven(methods="BatchWriteConfigurations", filled="BatchWriteConfigurations ListConfigurations"),
    additions: Driven(
        methods="CreateSchema GetSchema ListSchemas ImportSchemas DeleteSchema", filled="ImportSchemas ListSchemas"
    ),
    documents: Driven(methods="CreateSchemaVersion GetSchemaVersion ListSchemaVersions"),
    offenders: Driven(methods="CheckSchemaVersion ImportConfigurations"),
    operations: Driven(
        methods="MigrateConfigurations ListOperationItems GetOperation ListOperations CancelOperation DeleteOperation "
        "WaitOperation",
        filled="ListOperationItems ListOperations",
    ),
    owned: Driven(
        methods="ListSources ListAppliedConfigurations ApplySource ReleaseSource AcquireSourceLease ReleaseSourceLease",
        filled="ListSources ApplySource",
    ),
    audit: Driven(methods="ListChanges", filled="ListChanges"),
    server: Driven(methods="GetServerStatus ListWatches", filled="ListWatches"),
    libraries: Driven(methods="Check List Watch ServerReflectionInfo"),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "driver",
    [
        pytest.param(driver, marks=grpc_only("HTTP has pages of its own")) if driver is libraries else driver
        for driver in DRIVERS
    ],
    ids=lambda driver: driver.__name__,
)
async def test_no_answer_exceeds_what_clients_accept(stage: Stage, driver: Callable[[Stage], Awaitable[None]]) -> None:
    await driver(stage)
    largest = {path.rpartition("/")[2]: max(sizes) for path, sizes in stage.sizes.items()}
    assert {name: size for name, size in largest.items() if size > MAX_RESPONSE_BYTES} == {}
    driven = DRIVERS[driver]
    assert set(driven.methods.split()) <= largest.keys()
    # Otherwise the driver proves nothing.
    assert {name: largest[name] for name in driven.filled.split() if largest[name] < MAX_RESPONSE_BYTES * 2 // 3} == {}


@grpc_only("HTTP has no reflection")
async def test_every_method_that_is_served_is_driven_to_its_largest_answer(service: Service) -> None:
    served = {method.descriptor.name for method in await served_methods(service)}
    assert served == {name for driven in DRIVERS.values() for name in driven.methods.split()}
