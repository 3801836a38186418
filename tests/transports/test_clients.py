"""Clients of other languages and libraries get the same answers on every transport: unary calls, watches, uploads,
errors, deadlines, cancelled calls, compressed and large messages, metadata, TLS with client certificates.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.configuration_service_pb2 import ListConfigurationsRequest
from configapi.v1.selector_pb2 import ConfigurationSelector
from tests.api.calls import SHOP, create_application
from tests.app.scraping import Metrics, measured_service
from tests.docs.clients import LIMIT_SECONDS
from tests.docs.test_guide import process
from tests.identity.authorities import Authority, files_in, uri
from tests.postgres import cloned_database
from tests.robustness.form import IS_LONG
from tests.rpc.raw_http2 import PREFACE
from tests.service import Service
from tests.transports.paths import LIST
from tests.transports.programs import PROGRAMS, grpcurl, program_in
from tests.transports.python_clients import CLIENTS, EXPECTED, Files, comparable, outcomes
from tests.transports.raw import call, settings, tcp
from tests.transports.transports import on

# Building takes its time.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(200)]
LIBRARIES = (*CLIENTS, *PROGRAMS)
# Without TLS, what differs is nothing that a client sees: the short form takes two libraries.
PLAIN = LIBRARIES if IS_LONG else ("grpcio-aio", "java")
SECURED = tuple(library for library in LIBRARIES if library != "java")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A service with metrics, and the files for a client of it."""

    service: Service
    metrics: Metrics
    files: Files | None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(postgres_server: str, template_database: str, transport: str) -> AsyncGenerator[Served]:
    async with (
        cloned_database(postgres_server, template_database) as url,
        measured_service(url, **on(transport)) as (service, metrics),
    ):
        await create_application(service)
        yield Served(service=service, metrics=metrics, files=None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secured(
    postgres_server: str, template_database: str, transport: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Served]:
    """Yield a service that takes only clients with certificates."""
    folder, authority = tmp_path_factory.mktemp("tls"), Authority()
    server, pair = files_in(folder, authority), authority.pair(uri())
    files = Files(authorities=server.authorities, certificate=folder / "client.pem", key=folder / "client-key.pem")
    files.certificate.write_bytes(pair.certificate)
    files.key.write_bytes(pair.key)
    async with (
        cloned_database(postgres_server, template_database) as url,
        measured_service(url, credentials=authority.trusting(pair), **server.settings(), **on(transport)) as (
            service,
            metrics,
        ),
    ):
        await create_application(service)
        yield Served(service=service, metrics=metrics, files=files)


def arguments(files: Files | None) -> tuple[str, ...]:
    return tuple(map(str, (files.authorities, files.certificate, files.key))) if files else ()


async def output(*command: str) -> str:
    """Return what a program printed, which must end well."""
    async with process(*command, limit_seconds=LIMIT_SECONDS) as running:
        printed, _ = await running.communicate()
        assert running.returncode == 0, printed
    return printed.decode()


async def check(library: str, served: Served) -> None:
    service = served.service
    if library in CLIENTS:
        found = await outcomes(CLIENTS[library](service.address, served.files), library)
    else:
        command = (*program_in(library).command, service.address, library, *arguments(served.files))
        found = comparable(json.loads(await output(*command)))
    assert found == EXPECTED
    selector = ConfigurationSelector(application=SHOP, name_prefix=f"{library}/up")
    uploaded = await service.configurations.ListConfigurations(ListConfigurationsRequest(selector=selector))
    assert len(uploaded.configurations) == 3
    changes = (await service.audit.ListChanges(ListChangesRequest(page_size=1000))).changes
    assert f"CR of {library}" in {change.origin.change_request for change in changes}
    # No watch that was cancelled or ran out of time is left.
    await served.metrics.until("configsvc_calls_in_flight", 0)


@pytest.mark.parametrize("library", PLAIN)
async def test_a_client_gets_what_all_others_get(plain: Served, library: str) -> None:
    await check(library, plain)


@pytest.mark.parametrize("library", SECURED)
async def test_a_client_with_a_certificate_gets_what_all_others_get(secured: Served, library: str) -> None:
    await check(library, secured)


async def test_a_client_with_tls_that_does_not_name_http2_is_closed(secured: Served) -> None:
    assert secured.files
    context = ssl.create_default_context(cafile=str(secured.files.authorities))
    context.load_cert_chain(secured.files.certificate, secured.files.key)
    async with tcp(secured.service.address, context) as raw:
        raw.send(PREFACE, settings(), call(1, LIST, b""))
        await raw.until_closed()
        assert raw.closed
        assert not raw.answer(1).blocks


async def test_grpcurl_finds_methods_by_reflection_and_calls_each_kind(secured: Served, tmp_path: Path) -> None:
    assert secured.files
    names = ("-cacert", "-cert", "-key")
    tls = [word for pair in zip(names, arguments(secured.files), strict=True) for word in pair]
    command = (grpcurl(), *tls)
    address, service = secured.service.address, "configapi.v1.ConfigurationService"
    item = '{"items":[{"application":{"name":"shop"},"name":"grpcurl/%s","configJson":"{}"}]}'
    imported = await output(*command, "-d", item % "a" + item % "b", address, f"{service}/ImportConfigurations")
    assert "operations/" in imported
    exported, listed = await asyncio.gather(
        output(*command, "-d", "{}", address, f"{service}/ExportConfigurations"), output(*command, address, "list")
    )
    assert '"epoch"' in exported
    assert service in listed.split()
