"""TLS and client certificates, through real handshakes."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from configapi.v1.application_service_pb2 import ListApplicationsRequest
from configapi.v1.configuration_service_pb2 import WatchConfigurationsRequest, WatchConfigurationsResponse
from configsvc.process.certificates import CertificateError, CertificateFiles
from tests.api.calls import create, create_application
from tests.identity.authorities import HOUR, ROOT, Authority, Files, Pair, files_in, self_signed, uri
from tests.identity.tokens import bearing, oidc_settings
from tests.rpc.handshakes import next_message, version_spoken
from tests.service import LIMIT_SECONDS, Service, connected, reason_of, running_service

BILLING = x509.DNSName("billing.example")


@asynccontextmanager
async def client(address: str, credentials: grpc.ChannelCredentials | None) -> AsyncGenerator[Service]:
    async with connected(address, asyncio.Event(), credentials) as service:
        yield service


async def outcome(address: str, credentials: grpc.ChannelCredentials | None, **call: Any) -> str:
    """Return the outcome of a call on its own connection: the reason of its error, or the code of one without."""
    async with client(address, credentials) as service:
        try:
            await service.applications.ListApplications(ListApplicationsRequest(), timeout=10, **call)
        except grpc.aio.AioRpcError as error:
            return error.code().name if error.code() is grpc.StatusCode.UNAVAILABLE else reason_of(error)
        return "OK"


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    return files_in(tmp_path, authority)


@pytest.fixture
async def mtls(database_url: str, files: Files, authority: Authority) -> AsyncGenerator[Service]:
    """Run a service that takes only client certificates; yield stubs of its admin."""
    admin = authority.trusting(authority.pair(uri()))
    async with running_service(database_url, credentials=admin, **files.settings()) as service:
        yield service


async def test_callers_are_named_by_their_certificates(mtls: Service, authority: Authority) -> None:
    await create_application(mtls)
    cases = {
        authority.pair(BILLING): "PERMISSION_DENIED",
        authority.pair(common_name=ROOT): "UNAUTHENTICATED",
        authority.pair(uri(), uri("spiffe://example.org/other")): "UNAUTHENTICATED",
        authority.pair(x509.DNSName(ROOT)): "UNAUTHENTICATED",
        authority.pair(uri(), BILLING): "OK",
    }
    for pair, expected in cases.items():
        assert await outcome(mtls.address, authority.trusting(pair)) == expected


async def test_a_handshake_without_a_valid_certificate_of_the_authority_fails(
    mtls: Service, authority: Authority
) -> None:
    pairs: list[Pair | None] = [
        None,
        Authority().pair(uri()),
        self_signed(uri()),
        authority.pair(uri(), ends=-1),
        authority.pair(uri(), begins=HOUR / 2),
        authority.pair(uri(), usage=ExtendedKeyUsageOID.SERVER_AUTH),
    ]
    assert [await outcome(mtls.address, authority.trusting(pair)) for pair in pairs] == ["UNAVAILABLE"] * len(pairs)
    # A client certificate does not make the server trusted, and clear text is refused.
    assert await outcome(mtls.address, Authority().trusting(authority.pair(uri()))) == "UNAVAILABLE"
    assert await outcome(mtls.address, None) == "UNAVAILABLE"


async def test_tls_before_1_2_is_refused(database_url: str, files: Files, authority: Authority) -> None:
    tls = files.settings("none")
    async with running_service(database_url, credentials=authority.trusting(), **tls) as service:
        for version, spoken in (("TLSv1_1", None), ("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")):
            assert await asyncio.to_thread(version_spoken, service.address, ssl.TLSVersion[version]) == spoken


async def test_certificates_and_tokens_are_taken_on_addresses_of_their_own(
    database_url: str, files: Files, authority: Authority, tmp_path: Path
) -> None:
    addresses = {"mtls_listen": f"unix:{tmp_path}/mtls.sock"}
    both: dict[str, Any] = oidc_settings(tmp_path) | files.settings("oidc,mtls") | addresses
    both["admins"] = f"user:root,certificate:{ROOT}"
    root, billing = (authority.trusting(authority.pair(name)) for name in (uri(), BILLING))
    async with running_service(database_url, credentials=authority.trusting(), **both) as service:
        # A token alone; a certificate is not asked for here.
        assert await outcome(service.address, authority.trusting()) == "UNAUTHENTICATED"
        assert await outcome(service.address, authority.trusting(), metadata=bearing("root")) == "OK"
        assert await outcome(service.address, root) == "UNAUTHENTICATED"
        # A certificate alone; a token beside it does not count.
        assert await outcome(both["mtls_listen"], root) == "OK"
        assert await outcome(both["mtls_listen"], root, metadata=bearing("nobody")) == "OK"
        assert await outcome(both["mtls_listen"], billing, metadata=bearing("root")) == "PERMISSION_DENIED"
        assert await outcome(both["mtls_listen"], authority.trusting(), metadata=bearing("root")) == "UNAVAILABLE"


async def test_a_stream_ends_when_its_certificate_expires(mtls: Service, authority: Authority) -> None:
    pair = authority.pair(uri(), ends=3)
    async with client(mtls.address, authority.trusting(pair)) as service:
        watch = service.configurations.WatchConfigurations(WatchConfigurationsRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await drained(watch)
        assert reason_of(caught.value) == "UNAUTHENTICATED"
        # So does every other call on its connection.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.applications.ListApplications(ListApplicationsRequest())
        assert reason_of(caught.value) == "UNAUTHENTICATED"


async def test_a_new_certificate_is_used_while_streams_go_on(mtls: Service, files: Files, authority: Authority) -> None:
    admin = authority.pair(uri())
    await create_application(mtls)
    watch = mtls.configurations.WatchConfigurations(WatchConfigurationsRequest())
    assert (await next_message(watch)).synced
    successor = Authority()
    async with asyncio.TaskGroup() as tasks:
        # Handshakes go on all the time; none may see a half-replaced pair.
        stop = asyncio.Event()
        load = [tasks.create_task(keep_connecting(mtls.address, authority, admin, stop)) for _ in range(2)]
        for _ in range(20):
            files.write(authority.server_pair())
            await asyncio.sleep(0)
        stop.set()
    assert all(task.result() for task in load)
    new_admin = successor.pair(uri())
    files.write(successor.server_pair(), [successor])
    assert await outcome(mtls.address, successor.trusting(new_admin)) == "OK"
    # A removed authority is trusted no more, in either direction.
    assert await outcome(mtls.address, successor.trusting(admin)) == "UNAVAILABLE"
    assert await outcome(mtls.address, authority.trusting(new_admin)) == "UNAVAILABLE"
    await create(mtls, "web")
    while not (message := await next_message(watch)).events:
        pass
    assert message.revision == 2


async def drained(watch: "grpc.aio.UnaryStreamCall[WatchConfigurationsRequest, WatchConfigurationsResponse]") -> None:
    """Read to the end."""
    async with asyncio.timeout(LIMIT_SECONDS):
        async for _ in watch:
            pass


async def keep_connecting(address: str, authority: Authority, pair: Pair, stop: asyncio.Event) -> int:
    """Connect until told to stop, each time for one call; return the number of connections."""
    made = 0
    while not stop.is_set():
        assert await outcome(address, authority.trusting(pair)) == "OK"
        made += 1
    return made


async def test_files_that_are_broken_leave_the_old_certificate_in_use(
    mtls: Service, files: Files, authority: Authority
) -> None:
    admin = authority.trusting(authority.pair(uri()))
    other = authority.server_pair()
    for path, content in (
        (files.certificate, other.certificate[:200]),
        (files.certificate, other.certificate),
        (files.key, b""),
        (files.authorities, b"-----BEGIN CERTIFICATE-----"),
    ):
        whole = path.read_bytes()
        path.write_bytes(content)
        assert await outcome(mtls.address, admin) == "OK"
        path.unlink()
        assert await outcome(mtls.address, admin) == "OK"
        path.write_bytes(whole)
    assert await outcome(mtls.address, admin) == "OK"


def test_files_that_cannot_be_used_are_named(files: Files, authority: Authority) -> None:
    def problem() -> str:
        with pytest.raises(CertificateError) as caught:
            CertificateFiles(files.certificate, files.key, files.authorities)
        return str(caught.value)

    whole = files.key.read_bytes()
    files.key.write_bytes(authority.server_pair().key)
    assert problem() == f"{files.key} is not the key of the certificate in {files.certificate}"
    files.key.write_bytes(files.certificate.read_bytes())
    assert problem() == f"{files.key} contains no unencrypted private key in PEM"
    files.key.write_bytes(whole)
    files.authorities.write_bytes(b"")
    assert problem() == f"{files.authorities} contains no certificate in PEM"
    files.authorities.unlink()
    assert problem() == f"{files.authorities} cannot be read: No such file or directory"
