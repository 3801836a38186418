"""The same request has the same answer on every transport: headers, messages, status, details and trailers."""

import gzip
from base64 import b64decode
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from configapi.v1.application_service_pb2 import CreateApplicationRequest
from configapi.v1.configuration_service_pb2 import (
    BatchGetConfigurationsRequest,
    ExportConfigurationsRequest,
    GetConfigurationRequest,
    ImportConfigurationsRequest,
    ListConfigurationsRequest,
    WatchConfigurationsRequest,
)
from configsvc.api.tenants import TENANT_KEY
from configsvc.domain.content import JsonObject
from tests.api.calls import creation, key, key_ref
from tests.identity.tokens import bearing, oidc_settings, token
from tests.postgres import cloned_database
from tests.rpc.served import OURS, served_methods
from tests.service import Service, running_service
from tests.transports import paths
from tests.transports.raw import LARGEST_WINDOW, Answer, begin, data, prefixed, raw_connection, window_update
from tests.transports.transports import TRANSPORTS, on
from tests.web.test_same_faults import CONTENTS, REQUESTS, of_content

pytestmark = pytest.mark.asyncio(loop_scope="module")
DETAILS = "grpc-status-details-bin"
# What a transport tells of itself, and nothing about the call.
ITS_OWN = {"grpc-accept-encoding", "date"}
# grpcio sends it with every call that succeeds.
NOTHING = ("grpc-message", "")
Pair = tuple[str | bytes, str | bytes]
ROOT: tuple[Pair, ...] = bearing("root")
GZIP: Pair = ("grpc-accept-encoding", "gzip")
SMALL: JsonObject = {"a": 1}
LARGE: JsonObject = {"text": "x" * 100_000}


class Request(NamedTuple):
    """A request as bytes, with other metadata than the admin's token if it has some."""

    path: str
    messages: Sequence[bytes]
    metadata: Sequence[Pair] = ROOT


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Sequence[Service]]:
    settings = oidc_settings(tmp_path_factory.mktemp("oidc"))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(cloned_database(postgres_server, template_database))
        services = [
            await stack.enter_async_context(running_service(url, **settings, **on(transport)))
            for transport in TRANSPORTS
        ]
        as_root: Any = {"metadata": ROOT}
        await services[0].applications.CreateApplication(CreateApplicationRequest(name="shop"), **as_root)
        for name, config in (("web", SMALL), ("large", LARGE)):
            created = await services[0].configurations.CreateConfiguration(creation(name, config), **as_root)
        for service in services:
            await service.configurations.GetConfiguration(
                GetConfigurationRequest(key=key("web"), min_revision=created.revision), **as_root
            )
        yield services


async def answer_of(service: Service, request: Request) -> Answer:
    """Return the answer of one transport, with windows for all of it."""
    async with raw_connection(service.address, window=LARGEST_WINDOW) as raw:
        raw.send(window_update(0, LARGEST_WINDOW - 65_535), begin(1, request.path, *request.metadata))
        raw.send(*(data(1, prefixed(message)) for message in request.messages), data(1, b"", end=True))
        return await raw.end_of(1)


def shape(answer: Answer) -> dict[str, Any]:
    """Return what a client sees of an answer, with its details as messages."""
    encoded = any(flag for flag, _ in answer.flagged)
    own = ITS_OWN if encoded else {*ITS_OWN, "grpc-encoding"}
    blocks = [
        sorted((name, _readable(name, value)) for name, value in block if name not in own and (name, value) != NOTHING)
        for block in answer.blocks
    ]
    if not answer.data and len(blocks) > 1:
        # Headers may be sent before it is known that the call fails.
        headers, trailers = blocks
        blocks = [sorted(headers + trailers)]
    return {"end": answer.outcome, "blocks": blocks, "encoded": encoded, "messages": _messages(answer)}


def _readable(name: str, value: str) -> str:
    if name != DETAILS:
        return value
    return str(Status.FromString(b64decode(value + "=" * (-len(value) % 4))))


def _messages(answer: Answer) -> list[bytes]:
    zipped = any(("grpc-encoding", "gzip") in block for block in answer.blocks)
    return [gzip.decompress(one) if zipped and flag else one for flag, one in answer.flagged]


async def check(both: Sequence[Service], request: Request) -> dict[str, Any]:
    """Check that all transports answer alike; return the answer."""
    first, *others = [shape(await answer_of(service, request)) for service in both]
    for other in others:
        differences = {part: (first[part], other[part]) for part in first if first[part] != other[part]}
        assert not differences, (request.path, differences)
    return first


def of(path: str, *messages: Message, metadata: Sequence[Pair] = ROOT) -> Request:
    return Request(path, [message.SerializeToString() for message in messages], metadata)


GET_WEB = GetConfigurationRequest(key=key("web"))
GET_LARGE = GetConfigurationRequest(key=key("large"))
LIST_CONFIGURATIONS = "/configapi.v1.ConfigurationService/ListConfigurations"
BATCH_GET = "/configapi.v1.ConfigurationService/BatchGetConfigurations"
STATUS = "/configapi.v1.ServerService/GetServerStatus"
CALLER = "/configapi.v1.AccessService/GetCaller"
VALID = {
    "a read": of(paths.GET, GET_WEB),
    "a read at once again": of(paths.GET, GET_WEB),
    "a large read": of(paths.GET, GET_LARGE),
    "a large read, compressed": of(paths.GET, GET_LARGE, metadata=(*ROOT, GZIP)),
    "a small read, not compressed": of(paths.GET, GET_WEB, metadata=(*ROOT, GZIP)),
    "a client that takes deflate only": of(paths.GET, GET_LARGE, metadata=(*ROOT, ("grpc-accept-encoding", "x"))),
    "a list": of(LIST_CONFIGURATIONS, ListConfigurationsRequest(page_size=1)),
    "a batch": of(BATCH_GET, BatchGetConfigurationsRequest(refs=[key_ref("web"), key_ref("none")])),
    "an export": of(paths.EXPORT, ExportConfigurationsRequest()),
    "an export, compressed": of(paths.EXPORT, ExportConfigurationsRequest(), metadata=(*ROOT, GZIP)),
    "health": of(paths.CHECK, HealthCheckRequest(), metadata=()),
    "health of a service": of(paths.CHECK, HealthCheckRequest(service="configapi.v1.AuditService"), metadata=()),
    "health of no service": of(paths.CHECK, HealthCheckRequest(service="x"), metadata=()),
    "reflection": of(
        paths.REFLECTION,
        ServerReflectionRequest(list_services=""),
        ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        ServerReflectionRequest(file_by_filename="none"),
        metadata=(),
    ),
    "the caller": Request(CALLER, [b""]),
    "the caller, with another scheme": Request(CALLER, [b""], (("authorization", f"bEARER {token('root')}"),)),
}
AUTHORIZATIONS = {
    "no token": (),
    "no scheme": (("authorization", token("root")),),
    "another scheme": (("authorization", "Basic cm9vdDpyb290"),),
    "an empty token": (("authorization", "Bearer"),),
    "a token that is none": (("authorization", "Bearer x.y.z"),),
    "a token that has expired": bearing("root", exp=1),
    "a token for another audience": bearing("root", aud="other"),
    "two tokens": (*ROOT, *ROOT),
    "a stranger": bearing("stranger"),
    "a token of 20 KiB": (("authorization", "Bearer " + "x" * 20_000),),
    "a tenant": (*ROOT, (TENANT_KEY, "1")),
}
CHANGE_REQUESTS = ("", "x" * 257, "ä", "a,b", "CR  1")


@pytest.mark.parametrize("name", VALID)
async def test_a_valid_request_has_the_same_answer(both: Sequence[Service], name: str) -> None:
    assert (await check(both, VALID[name]))["end"] in {"status 0", "status 5"}


@pytest.mark.parametrize("name", AUTHORIZATIONS)
async def test_credentials_have_the_same_answer(both: Sequence[Service], name: str) -> None:
    for path in (paths.GET, paths.CREATE, paths.IMPORT, paths.EXPORT):
        await check(both, Request(path, [b""], AUTHORIZATIONS[name]))
    await check(both, of(paths.GET, GET_WEB, metadata=AUTHORIZATIONS[name]))


async def test_metadata_of_a_write_have_the_same_answer(both: Sequence[Service]) -> None:
    for value in CHANGE_REQUESTS:
        metadata: tuple[Pair, ...] = (*ROOT, ("x-change-request", value))
        await check(both, of(paths.CREATE, creation("web"), metadata=metadata))
        await check(both, of(paths.CREATE, creation("web"), metadata=(*metadata, ("x-change-request", "1"))))


async def test_every_method_has_the_same_answer_to_requests_that_say_nothing(both: Sequence[Service]) -> None:
    for method in await served_methods(both[0]):
        # Where these are no faults, a watch never ends, and each import has a name of its own.
        descriptor = method.descriptor
        if method.path == STATUS:
            # Each server tells of itself.
            continue
        good = [] if descriptor.server_streaming != descriptor.client_streaming else [[b""], [b"\xfa\x7f\x01x"]]
        for messages in ([b"\xff"], [b"\x0a\x02\xc3\x28"], [], *good):
            await check(both, Request(method.path, messages))
        if descriptor.containing_service.full_name in OURS:
            await check(both, Request(method.path, [b""], ()))


@pytest.mark.parametrize("part", range(4))
async def test_a_faulty_request_has_the_same_answer(both: Sequence[Service], part: int) -> None:
    # A larger one would have to wait for its window.
    contents = [text for text in CONTENTS if len(text) < 50_000]
    faulty = [*REQUESTS, *(one for text in contents for one in of_content(text))]
    for one in faulty[part::4]:
        service = {"configurations": "Configuration", "applications": "Application", "schemas": "Schema"}[one.stub]
        seen = await check(both, of(f"/configapi.v1.{service}Service/{one.method}", one.message))
        assert seen["end"] != "status 0"


async def test_a_watch_and_an_upload_have_the_same_answer(both: Sequence[Service]) -> None:
    faulty = WatchConfigurationsRequest(resume_token="1-1:0")
    await check(both, of(paths.WATCH, faulty))
    for service in both:
        answer = await answer_of(service, Request(paths.WATCH, [b""], (*ROOT, ("grpc-timeout", "300m"))))
        assert answer.outcome == "status 4"
        assert {name for name, _ in answer.blocks[0]} - ITS_OWN == {":status", "content-type"}
        assert len(answer.blocks) == 2
    wrong = ImportConfigurationsRequest(mode=77)  # pyright: ignore[reportArgumentType]
    await check(both, of(paths.IMPORT, wrong, wrong))
    await check(both, of(paths.IMPORT))
