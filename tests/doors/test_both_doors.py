"""One service behind both doors: log lines, metrics, calls in flight and limits are the same through either."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning.operations_proto_pb2 import GetOperationRequest, WaitOperationRequest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from configapi.v1.application_service_pb2 import (
    CreateApplicationRequest,
    DeleteApplicationRequest,
    GetApplicationRequest,
    ListApplicationsRequest,
)
from configapi.v1.configuration_pb2 import ConfigurationRef
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    BatchWriteConfigurationsRequest,
    ExportConfigurationsRequest,
    GetConfigurationRequest,
    ImportConfigurationsRequest,
    WatchConfigurationsRequest,
)
from configapi.v1.schema_service_pb2 import CreateSchemaRequest
from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.limits import quotas
from tests.api.calls import create, create_application, creation, failing, key
from tests.app.scraping import Metrics, measured_service
from tests.identity.tokens import bearing, oidc_settings
from tests.operations.operating import item
from tests.postgres import cloned_database
from tests.service import POLL_SECONDS, Service, over_http, reason_of, struct
from tests.writes import batches

REQUEST_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER_REQUEST_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
# What differs between two calls that are alike: when they were, and from which connection.
OF_ITS_OWN = {"call_id", "duration_ms", "peer", "trace"}
LIMIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The same service over both doors."""

    grpc: Service
    http: Service
    metrics: Metrics

    @property
    def both(self) -> tuple[Service, Service]:
        return self.grpc, self.http


@asynccontextmanager
async def doors(database_url: str, **settings: Any) -> AsyncGenerator[Doors]:
    """Run a service with both doors and metrics."""
    settings = {"http_listen": "127.0.0.1:0", **settings}
    async with measured_service(database_url, **settings) as (service, metrics):
        assert service.http
        yield Doors(grpc=service, http=over_http(service, service.http), metrics=metrics)


async def ignoring(call: Awaitable[object]) -> None:
    """Wait for the end of a call, however it ends."""
    with suppress(grpc.aio.AioRpcError):
        await call


async def all_kinds_of_calls(service: Service) -> None:
    """Make calls that succeed, are refused, are answered by streams, take uploads, and are cancelled."""
    root: Any = {"metadata": bearing("root")}
    applications, configurations = service.applications, service.configurations
    await ignoring(applications.CreateApplication(CreateApplicationRequest(name="shop", request_id=REQUEST_ID), **root))
    await ignoring(applications.CreateApplication(CreateApplicationRequest(name="..", request_id=REQUEST_ID), **root))
    await ignoring(applications.GetApplication(GetApplicationRequest(name="shop"), **root))
    await ignoring(applications.GetApplication(GetApplicationRequest(name="nowhere"), **root))
    await ignoring(applications.GetApplication(GetApplicationRequest(name="shop"), metadata=bearing("stranger")))
    await ignoring(applications.GetApplication(GetApplicationRequest(name="shop")))
    await ignoring(configurations.CreateConfiguration(creation("web", {"a": 1}), **root))
    await ignoring(configurations.CreateConfiguration(creation("web", {"a": 1}), **root))
    write = BatchWriteConfigurationsRequest(writes=[batches.upsert("api")], request_id=OTHER_REQUEST_ID)
    await ignoring(configurations.BatchWriteConfigurations(write, **root))
    await ignoring(configurations.GetConfiguration(GetConfigurationRequest(key=key("web")), **root))
    refs = [ConfigurationRef(key=key("web"))]
    await ignoring(configurations.BatchGetConfigurations(BatchGetConfigurationsRequest(refs=refs), **root))
    await ignoring(service.schemas.CreateSchema(CreateSchemaRequest(name="s", document=struct({"type": 1})), **root))
    async for _ in configurations.ExportConfigurations(ExportConfigurationsRequest(), **root):
        pass
    await ignoring(configurations.WatchConfigurations(WatchConfigurationsRequest(resume_token="1-1:0"), **root).read())
    watch = configurations.WatchConfigurations(WatchConfigurationsRequest(), **root)
    await watch.read()
    watch.cancel()
    upload = iter([ImportConfigurationsRequest(items=[item("up")])])
    operation = await configurations.ImportConfigurations(upload, **root)
    wait = WaitOperationRequest(name=operation.name, timeout=Duration(seconds=10))
    await ignoring(service.operations.WaitOperation(wait, **root))
    await ignoring(service.operations.GetOperation(GetOperationRequest(name=f"operations/{REQUEST_ID}"), **root))
    await ignoring(applications.DeleteApplication(DeleteApplicationRequest(name="shop", force=True), **root))


async def lines_of(lines: list[Any], metrics: Metrics) -> list[dict[str, Any]]:
    """Return the lines of calls, once all have ended, without what differs between calls that are alike."""
    await metrics.until("configsvc_calls_in_flight", 0)
    calls = [line for line in lines if line["event"] in ("call", "internal error")]
    return sorted(({name: value for name, value in line.items() if name not in OF_ITS_OWN} for line in calls), key=repr)


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACES = {
    f"00-{TRACE_ID}-b7ad6b7169203331-01": TRACE_ID,
    f"01-{TRACE_ID}-b7ad6b7169203331-01-later": TRACE_ID,
    f"ff-{TRACE_ID}-b7ad6b7169203331-01": None,
    f"00-{'0' * 32}-b7ad6b7169203331-01": None,
    f"00-{TRACE_ID.upper()}-b7ad6b7169203331-01": None,
    "nonsense": None,
}


async def test_the_line_of_a_call_names_its_trace(database_url: str) -> None:
    async with doors(database_url) as both:
        for service in both.both:
            for number, (traceparent, trace_id) in enumerate(TRACES.items()):
                request = CreateApplicationRequest(name=f"{service.door.value}-{number}")
                with capture_logs() as lines:
                    await service.applications.CreateApplication(request, metadata=(("traceparent", traceparent),))
                    await both.metrics.until("configsvc_calls_in_flight", 0)
                assert [line.get("trace_id") for line in lines if line["event"] == "call"] == [trace_id]


async def counts_of(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return the counts of calls, of refused calls and of durations."""
    names = ("configsvc_calls_total", "configsvc_refused_calls_total", "configsvc_call_seconds_count")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in (await metrics.families()).values()
        for sample in family.samples
        if sample.name in names and sample.value
    }


async def test_a_call_makes_the_same_log_line_and_counts_as_the_same_whichever_door_it_comes_through(
    postgres_server: str, template_database: str, tmp_path: Path
) -> None:
    settings = oidc_settings(tmp_path)
    found: list[tuple[Any, Any]] = []
    for number in range(2):
        async with cloned_database(postgres_server, template_database) as url, doors(url, **settings) as service:
            with capture_logs() as lines:
                await all_kinds_of_calls(service.both[number])
                found.append((await lines_of(lines, service.metrics), await counts_of(service.metrics)))
    (grpc_lines, grpc_counts), (http_lines, http_counts) = found
    assert len(grpc_lines) > 15
    assert http_lines == grpc_lines
    assert http_counts == grpc_counts


async def test_the_address_in_a_log_line_is_written_alike(database_url: str) -> None:
    async with doors(database_url) as service:
        for one in service.both:
            with capture_logs() as lines:
                await create_application(one, one.door.value)
                (line,) = [line for line in lines if line["event"] == "call"]
            assert line["peer"].startswith("ipv4:127.0.0.1:")


async def test_calls_of_both_doors_are_counted_together_while_they_are_in_flight(database_url: str) -> None:
    async with doors(database_url) as service:
        watches = [one.configurations.WatchConfigurations(WatchConfigurationsRequest()) for one in service.both]
        for watch in watches:
            await watch.read()
        await service.metrics.until("configsvc_calls_in_flight", 2)
        for watch in watches:
            watch.cancel()
        await service.metrics.until("configsvc_calls_in_flight", 0)


async def test_the_rate_of_a_caller_is_that_of_both_doors(database_url: str, tmp_path: Path) -> None:
    settings = oidc_settings(tmp_path, calls_per_second=0.001, calls_burst=2)
    async with doors(database_url, **settings) as service:
        root = bearing("root")
        for one in service.both:
            await one.applications.ListApplications(ListApplicationsRequest(), metadata=root)
        for one in service.both:
            with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
                await one.applications.ListApplications(ListApplicationsRequest(), metadata=root)


async def test_the_watches_of_a_caller_are_those_of_both_doors(database_url: str, tmp_path: Path) -> None:
    async with doors(database_url, **oidc_settings(tmp_path, watches_per_caller=2)) as service:

        def opened(one: Service) -> Any:
            return one.configurations.WatchConfigurations(WatchConfigurationsRequest(), metadata=bearing("root"))

        for one in service.both:
            await opened(one).read()
        for one in service.both:
            with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES"):
                await opened(one).read()


async def test_the_calls_at_once_of_a_caller_are_those_of_both_doors(
    database_url: str, tmp_path: Path, psql: Any
) -> None:
    async with doors(database_url, **oidc_settings(tmp_path, calls_at_once=2)) as service:
        root: Any = {"metadata": bearing("root")}
        await service.grpc.applications.CreateApplication(CreateApplicationRequest(name="shop"), **root)
        async with psql.transaction():
            await psql.execute("LOCK TABLE configurations IN ACCESS EXCLUSIVE MODE")
            request = GetConfigurationRequest(key=key("web"), latest=True)
            waiting = [one.configurations.GetConfiguration(request, **root) for one in service.both]
            await service.metrics.until("configsvc_calls_in_flight", 2)
            for one in service.both:
                await until_refused(lambda one=one: one.server.GetServerStatus(GetServerStatusRequest(), **root))
        for call in waiting:
            with failing(grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"):
                await call


async def until_refused(call: Callable[[], Awaitable[object]]) -> None:
    """Call until the calls at once are too many: those that wait may not have got so far."""
    reason = ""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not reason:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                reason = reason_of(error)
            await asyncio.sleep(POLL_SECONDS)
    assert reason == "RATE_LIMITED"


async def test_the_exports_of_a_caller_are_those_of_both_doors(
    database_url: str, tmp_path: Path, psql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "LONG_LIVED_CALLS", 2)
    async with doors(database_url, **oidc_settings(tmp_path)) as service:
        root: Any = {"metadata": bearing("root")}
        async with psql.transaction():
            await psql.execute("LOCK TABLE configurations IN ACCESS EXCLUSIVE MODE")

            def exported(one: Service) -> Any:
                return one.configurations.ExportConfigurations(ExportConfigurationsRequest(), **root)

            waiting = [exported(one) for one in service.both]
            await service.metrics.until("configsvc_calls_in_flight", 2)
            for one in service.both:
                with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
                    await exported(one).read()
        for call in waiting:
            assert [list(message.items) async for message in call] == [[]]


async def test_the_unread_answers_of_a_caller_are_those_of_both_doors(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "UNREAD_ANSWER_BYTES", 100)
    async with doors(database_url, **oidc_settings(tmp_path)) as service:
        root: Any = {"metadata": bearing("root")}
        await service.grpc.applications.CreateApplication(CreateApplicationRequest(name="shop"), **root)
        for name in ("one", "two"):
            await service.grpc.configurations.CreateConfiguration(creation(name, {"a": "x" * 40_000}), **root)
        refs = [ConfigurationRef(key=key(name)) for name in ("one", "two")]
        for one in service.both:
            with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
                await one.configurations.BatchGetConfigurations(BatchGetConfigurationsRequest(refs=refs), **root)


async def test_a_configuration_that_one_door_changed_is_read_through_the_other(database_url: str) -> None:
    async with doors(database_url) as service:
        await create_application(service.grpc, "shop")
        for writer, reader in (service.both, service.both[::-1]):
            created = await create(writer, f"by-{writer.door.value}", {"a": 1})
            request = GetConfigurationRequest(id=created.id, min_revision=created.revision)
            found = await reader.configurations.GetConfiguration(request)
            assert found.configuration == created
