"""TLS and client certificates over HTTP: the rules of gRPC, through real handshakes."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from configsvc.process import handshakes
from tests.identity.authorities import HOUR, ROOT, Authority, Files, Pair, files_in, self_signed, uri
from tests.identity.tokens import bearing, oidc_settings
from tests.rpc.handshakes import version_spoken
from tests.service import LIMIT_SECONDS, Service, running_service
from tests.web.raw_http import ask, connection, request

APPLICATIONS = "/api/v1/applications"
BILLING = x509.DNSName("billing.example")
GET = request("GET", APPLICATIONS)
BROKEN = 0


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    return files_in(tmp_path, authority)


@pytest.fixture
async def mtls(database_url: str, files: Files, authority: Authority) -> AsyncGenerator[Service]:
    """Run a service that takes only client certificates."""
    settings: dict[str, Any] = files.settings() | {"http_listen": "127.0.0.1:0"}
    admin = authority.trusting(authority.pair(uri()))
    async with running_service(database_url, credentials=admin, **settings) as service:
        yield service


def client(authority: Authority, folder: Path, pair: Pair | None = None) -> ssl.SSLContext:
    """Return the context of a client that trusts servers of the authority."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if pair:
        chain, key = folder / "client.pem", folder / "client-key.pem"
        chain.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(chain, key)
    return context


async def status(address: str, tls: ssl.SSLContext | None, **headers: Any) -> int:
    """Return the status of a call; 0 if there is no connection to make it."""
    try:
        return (await ask(address, "GET", APPLICATIONS, tls=tls, **headers)).status
    except (OSError, asyncio.IncompleteReadError):
        return BROKEN


def token(name: str) -> dict[str, Any]:
    ((_, value),) = bearing(name)
    return {"Authorization": value}


async def test_callers_are_named_by_their_certificates(mtls: Service, authority: Authority, tmp_path: Path) -> None:
    cases = {
        authority.pair(uri(), BILLING): 200,
        authority.pair(BILLING): 403,
        authority.pair(common_name=ROOT): 401,
        authority.pair(uri(), uri("spiffe://example.org/other")): 401,
        authority.pair(x509.DNSName(ROOT)): 401,
    }
    for pair, expected in cases.items():
        assert await status(mtls.http_address, client(authority, tmp_path, pair)) == expected


async def test_a_handshake_without_a_valid_certificate_of_the_authority_fails(
    mtls: Service, authority: Authority, tmp_path: Path
) -> None:
    pairs: list[Pair | None] = [
        None,
        Authority().pair(uri()),
        self_signed(uri()),
        authority.pair(uri(), ends=-1),
        authority.pair(uri(), begins=HOUR / 2),
        authority.pair(uri(), usage=ExtendedKeyUsageOID.SERVER_AUTH),
    ]
    for pair in pairs:
        assert await status(mtls.http_address, client(authority, tmp_path, pair)) == BROKEN
    # A client certificate does not make the server trusted, and clear text is refused.
    assert await status(mtls.http_address, client(Authority(), tmp_path, authority.pair(uri()))) == BROKEN
    assert await status(mtls.http_address, None) == BROKEN


async def test_one_address_takes_certificates_and_tokens(
    database_url: str, files: Files, authority: Authority, tmp_path: Path
) -> None:
    both: dict[str, Any] = oidc_settings(tmp_path) | files.settings("oidc,mtls")
    both |= {"admins": f"user:root,certificate:{ROOT}", "mtls_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
    async with running_service(database_url, credentials=authority.trusting(), **both) as service:
        alone, root, billing = (
            client(authority, tmp_path, pair) for pair in (None, authority.pair(uri()), authority.pair(BILLING))
        )
        address = service.http_address
        assert await status(address, alone) == 401
        assert await status(address, alone, **token("root")) == 200
        assert await status(address, root) == 200
        # A token beside a certificate does not count.
        assert await status(address, root, **token("nobody")) == 200
        assert await status(address, billing, **token("root")) == 403
        assert await status(address, client(authority, tmp_path, self_signed(uri())), **token("root")) == BROKEN


async def test_tls_before_1_2_is_refused(database_url: str, files: Files, authority: Authority) -> None:
    tls: dict[str, Any] = files.settings("none") | {"http_listen": "127.0.0.1:0"}
    async with running_service(database_url, credentials=authority.trusting(), **tls) as service:
        for version, spoken in (("TLSv1_1", None), ("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")):
            assert await asyncio.to_thread(version_spoken, service.http_address, ssl.TLSVersion[version]) == spoken


async def test_new_connections_get_the_newest_certificate_and_open_ones_stay(
    mtls: Service, files: Files, authority: Authority, tmp_path: Path
) -> None:
    known = client(authority, tmp_path, authority.pair(uri()))
    async with connection(mtls.http_address, known) as old:
        old.send(GET)
        assert (await old.reply()).status == 200
        successor = Authority()
        # A pair that does not fit is not used.
        files.certificate.write_bytes(successor.server_pair().certificate)
        assert await status(mtls.http_address, known) == 200
        files.write(successor.server_pair(), [successor])
        assert await status(mtls.http_address, client(successor, tmp_path, successor.pair(uri()))) == 200
        # Neither the server nor the client is trusted any more, resumed sessions included.
        assert await status(mtls.http_address, known) == BROKEN
        assert await status(mtls.http_address, client(successor, tmp_path, authority.pair(uri()))) == BROKEN
        old.send(GET)
        assert (await old.reply()).status == 200


async def test_a_handshake_that_does_not_go_on_is_ended_and_counts_as_a_connection(
    mtls: Service, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_SECONDS", 0.1)
    async with connection(mtls.http_address) as silent, connection(mtls.http_address) as stranger:
        stranger.send(b"\x16\x03\x01\x02\x00\x01")
        for raw in (silent, stranger):
            with suppress(ConnectionError):
                await raw.ended()
    assert await status(mtls.http_address, client(authority, tmp_path, authority.pair(uri()))) == 200


async def test_an_answer_over_tls_that_comes_before_the_body_arrives_whole(
    mtls: Service, authority: Authority, tmp_path: Path
) -> None:
    async with connection(mtls.http_address, client(authority, tmp_path, authority.pair(uri()))) as raw:
        raw.send(request("POST", "/nothing", b"a" * 5_000_000))
        reply = await raw.reply()
        assert (reply.status, reply.headers["connection"]) == (404, "close")
        raw.writer.close()
        async with asyncio.timeout(LIMIT_SECONDS):
            with suppress(OSError):
                await raw.writer.wait_closed()
