"""The table of errors: nothing internal in an answer, and no writer delayed by another for long."""

import asyncio
import json
import os
import sys
from pathlib import Path

from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from configapi.v1.configuration_service_pb2 import SnapshotOptions, WatchConfigurationsRequest
from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.api.statuses import TRANSLATIONS
from configsvc.domain.errors import ConfigsvcError, DatabaseUnavailableError
from tests.api.calls import Connection, create, create_application, failing, get, head, names, patch
from tests.doors.marks import grpc_only
from tests.rpc.served import OURS
from tests.service import LIMIT_SECONDS, Service, error_info_of, status_of

GRPCURL = Path(sys.executable).with_name("grpcurl")


def leaves(error: type[ConfigsvcError]) -> set[type[ConfigsvcError]]:
    subclasses = error.__subclasses__()
    return {error} if not subclasses else set[type[ConfigsvcError]]().union(*map(leaves, subclasses))


async def grpcurl(*arguments: str) -> tuple[int, str, str]:
    """Return the exit code, output and errors of grpcurl."""
    process = await asyncio.create_subprocess_exec(
        GRPCURL,
        "-plaintext",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def test_every_error_of_the_domain_is_in_the_table() -> None:
    # It is raised, and has a kind of its own besides.
    assert set(TRANSLATIONS) == leaves(ConfigsvcError) | {DatabaseUnavailableError}


def test_every_reason_is_given_by_the_table_or_is_internal() -> None:
    given = {translation.reason for translation in TRANSLATIONS.values()}
    others = {ErrorReason.ERROR_REASON_UNSPECIFIED, ErrorReason.ERROR_REASON_INTERNAL}
    assert given | others == set(ErrorReason.values())
    assert not given & others
    assert len(given) == len(TRANSLATIONS)


async def test_an_internal_error_tells_an_id_and_nothing_else(service: Service, psql: Connection) -> None:
    await create_application(service, "shop")
    await psql.execute("ALTER TABLE configurations RENAME TO hidden")
    for call in (get(service, "web"), names(service), create(service, "web", {"secret": 1})):
        with failing(StatusCode.INTERNAL, "INTERNAL") as caught:
            await call
        info = error_info_of(caught.value)
        assert set(info.metadata) == {"error_id"}
        assert caught.value.details() == f"internal error {info.metadata['error_id']}"
        assert len(status_of(caught.value).details) == 1
    await psql.execute("ALTER TABLE hidden RENAME TO configurations")
    assert (await create(service, "web")).version == 1


async def test_a_write_that_another_transaction_holds_up_is_a_conflict(service: Service, psql: Connection) -> None:
    await create_application(service, "shop")
    await create(service, "web", {"a": 1})
    async with psql.transaction():
        await psql.execute("SELECT FROM configurations WHERE name = 'web' FOR UPDATE")
        with failing(StatusCode.ABORTED, "WRITE_CONFLICT") as caught:
            async with asyncio.timeout(LIMIT_SECONDS):
                await patch(service, "web", {"a": 2})
    retry = RetryInfo()
    assert any(detail.Unpack(retry) for detail in status_of(caught.value).details)
    assert retry.retry_delay.seconds >= 1
    assert (await get(service, "web")).version == 1
    assert (await patch(service, "web", {"a": 2})).version == 2


async def test_a_transaction_left_open_does_not_hold_up_other_writes(service: Service, psql: Connection) -> None:
    await create_application(service, "shop")
    await create(service, "web", {"a": 1})
    await create(service, "api", {"a": 1})
    async with psql.transaction():
        await psql.execute("UPDATE configurations SET comments = 'by hand' WHERE name = 'web'")
        for number in range(3):
            await create(service, f"c{number}")
        assert (await patch(service, "api", {"a": 2})).revision == 7
        assert (await get(service, "web")).comments == ""
    changed = await get(service, "web", min_revision=8)
    assert (changed.comments, changed.revision) == ("by hand", 8)
    assert await head(service) == 8


@grpc_only("grpcurl speaks gRPC")
async def test_grpcurl_shows_the_details_decoded(service: Service) -> None:
    method = "configapi.v1.ApplicationService/CreateApplication"
    request = json.dumps({"name": "..", "requestId": "x"})
    code, out, err = await grpcurl("-d", request, service.address, method)
    assert (code, out) != (0, "")
    for word in ("InvalidArgument", "google.rpc.ErrorInfo", "INVALID_REQUEST", "google.rpc.BadRequest", "request_id"):
        assert word in err
    code, out, err = await grpcurl("-format-error", "-d", request, service.address, method)
    faults = {fault["field"] for detail in json.loads(err)["details"] for fault in detail.get("field_violations", ())}
    assert (code, faults) == (64 + StatusCode.INVALID_ARGUMENT.value[0], {"name", "request_id"})


@grpc_only("grpcurl speaks gRPC")
async def test_grpcurl_creates_and_gets(service: Service) -> None:
    code, out, err = await grpcurl(
        "-d", '{"name": "shop"}', service.address, "configapi.v1.ApplicationService/CreateApplication"
    )
    assert (code, err) == (0, "")
    created = json.loads(out)
    assert (created["application"]["name"], created["revision"], created["changed"]) == ("shop", "1", True)
    request = {"application": {"name": "shop"}, "name": "web", "config": {"a": [1, None, {"b": "x"}]}}
    code, out, err = await grpcurl(
        "-d", json.dumps(request), service.address, "configapi.v1.ConfigurationService/CreateConfiguration"
    )
    assert (code, json.loads(out)["configuration"]["config"]) == (0, request["config"])


@grpc_only("grpcurl speaks gRPC")
async def test_grpcurl_lists_and_describes(service: Service) -> None:
    wanted = {
        *OURS,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    code, out, err = await grpcurl(service.address, "list")
    assert (code, set(out.split())) == (0, wanted), err
    for name in wanted:
        code, out, err = await grpcurl(service.address, "describe", name)
        assert (code, f"{name} is a service" in out) == (0, True), err
    code, out, err = await grpcurl(service.address, "describe", "configapi.v1.Configuration")
    assert "google.protobuf.Struct config" in out, err


async def test_a_watch_that_cannot_be_resumed_says_why(service: Service) -> None:
    for request, reason in (
        (WatchConfigurationsRequest(snapshot=SnapshotOptions(min_revision=99)), "REVISION_UNKNOWN"),
        (WatchConfigurationsRequest(resume_token="1-1:0"), "EPOCH_CHANGED"),
    ):
        with failing(StatusCode.OUT_OF_RANGE, reason):
            async for _ in service.configurations.WatchConfigurations(request):
                pass
