"""Reads of a provider's keys: the moments, the sources, and the keys that are used."""

import asyncio
import datetime
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import RSAKey

from configsvc.domain.errors import IdentityProviderUnavailableError
from configsvc.identity import key_rotation, key_sources
from configsvc.identity.discovery import Provider, trusted_certificates
from configsvc.identity.jwks import KeySet
from configsvc.identity.key_rotation import ProviderKeys
from configsvc.identity.key_sources import KeyFile, UnreadableKeysError, is_safe_url
from tests.identity.forging import EC, ED, RSA, SHOWN, key_set

LIMIT_SECONDS = 20.0


class Source:
    """Keys that are shown when the test allows it, with a count of requests."""

    def __init__(self, document: str = key_set(RSA)) -> None:
        self.document: str | Exception = document
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.withdrawals = 0

    async def read(self) -> bytes:
        self.asked += 1
        await self.open.wait()
        if isinstance(self.document, Exception):
            raise self.document
        return self.document.encode()

    def withdrawn(self) -> None:
        self.withdrawals += 1


@asynccontextmanager
async def running_keys(source: Source) -> AsyncGenerator[ProviderKeys]:
    keys = ProviderKeys(source.read, source.withdrawn)
    running = asyncio.create_task(keys.run())
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield keys
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  # it can only be asked
        await asyncio.sleep(0.001)


async def test_all_who_wait_share_one_reading_and_the_next_is_not_before_the_pause_is_over() -> None:
    source = Source()
    source.open.clear()
    async with running_keys(source) as keys:
        waiting = [asyncio.create_task(keys.ask_provider()) for _ in range(1_000)]
        await until(lambda: source.asked)
        source.open.set()
        await asyncio.gather(*waiting)
        for _ in range(1_000):
            await keys.ask_provider()
        assert source.asked == 1


async def test_after_the_pause_the_keys_are_read_once_more_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "PAUSE_SECONDS", 0.0)
    source = Source()
    async with running_keys(source) as keys:
        await until(lambda: len(keys))
        await until(lambda: not keys._resting)
        source.open.clear()
        monkeypatch.setattr(key_rotation, "PAUSE_SECONDS", 60.0)
        waiting = [asyncio.create_task(keys.ask_provider()) for _ in range(1_000)]
        await until(lambda: source.asked == 2)
        source.open.set()
        await asyncio.gather(*waiting, *(keys.ask_provider() for _ in range(100)))
        assert source.asked == 2


async def test_keys_are_read_now_and_then_though_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(key_rotation, "REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(key_rotation, "RETRY_SECONDS", 0.01)
    source = Source(key_set(RSA, EC))
    async with running_keys(source) as keys:
        await until(lambda: keys.fitting("ec", "ES256"))
        source.document = UnreadableKeysError("away")
        before = source.asked
        await until(lambda: source.asked > before + 2)
        assert keys.fitting("ec", "ES256")
        source.document = key_set(RSA, ED)
        await until(lambda: keys.fitting("ed", "EdDSA"))
        assert not keys.fitting("ec", "ES256")
        assert source.withdrawals == 1


async def test_keys_are_used_for_a_day_without_their_provider_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_rotation.KEEP_SECONDS == 24 * 3600
    monkeypatch.setattr(key_rotation, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(key_rotation, "REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(key_rotation, "RETRY_SECONDS", 0.01)
    source = Source()
    async with running_keys(source) as keys:
        await until(lambda: len(keys))
        source.document = UnreadableKeysError("away")
        monkeypatch.setattr(key_rotation, "KEEP_SECONDS", 0.05)
        await until(lambda: not len(keys))
        assert source.withdrawals == 1
        with pytest.raises(IdentityProviderUnavailableError):
            await keys.ask_provider()


async def test_a_reading_that_takes_too_long_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "READING_LIMIT_SECONDS", 0.05)
    source = Source()
    source.open.clear()
    async with running_keys(source) as keys:
        with pytest.raises(IdentityProviderUnavailableError):
            await keys.ask_provider()


class Site:
    """An HTTP server that answers what the test says, by path: a status and a body, or a whole answer."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, tuple[int, str] | bytes] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            answer = self.answers.get(request.split(" ")[1], (404, ""))
            writer.write(answer if isinstance(answer, bytes) else http(*answer))
            await writer.drain()
        writer.close()

    def discover(self, **more: Any) -> None:
        """Publish the address of the keys."""
        metadata = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"} | more
        self.answers["/.well-known/openid-configuration"] = (200, json.dumps(metadata))


def http(status: int, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Some", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@asynccontextmanager
async def running_site(context: ssl.SSLContext | None = None) -> AsyncGenerator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
    site.url = f"{'https' if context else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    site.answers["/jwks"] = (200, key_set(RSA))
    site.discover()
    async with server, asyncio.timeout(LIMIT_SECONDS):
        yield site


async def test_keys_are_where_the_provider_says_and_nothing_leads_elsewhere() -> None:
    async with running_site() as site:
        provider = Provider(site.url, trusted_certificates(None))
        assert len(KeySet.parsed(await provider.read()).thumbprints) == 1

        site.answers["/jwks"] = (404, "")
        await fails(provider, "status 404")
        site.answers["/jwks"] = http(302, "", f"Location: {site.url}/elsewhere")
        site.answers["/elsewhere"] = (200, key_set(RSA))
        await fails(provider, "status 302")
        site.answers["/jwks"] = (200, " " * (key_sources.MAX_DOCUMENT_BYTES + 1))
        await fails(provider, "more than 262144 bytes")
        site.answers["/jwks"] = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n%b\r\n" % (b" " * 65536) * 5
        )
        await fails(provider, "more than 262144 bytes")
        site.answers["/jwks"] = b"nothing of HTTP\r\n\r\n"
        await fails(provider, "does not respond")
        for url in ("http://192.0.2.1/jwks", "ftp://127.0.0.1/jwks", "file:///etc/passwd", "//x", "https://a:b@c/", 7):
            site.discover(jwks_uri=url)
            await fails(provider, "no jwks_uri with https")
        for issuer in (f"{site.url}/", "https://other.example", "", None, [site.url]):
            site.discover(issuer=issuer)
            await fails(provider, "does not name the issuer")
        for body, told in (("{", "not JSON"), ("[]", "JSON object"), ("[" * 100_000, "not JSON"), ("\xff", "not JSON")):
            site.answers["/.well-known/openid-configuration"] = (200, body)
            await fails(provider, told)
        site.answers.clear()
        await fails(provider, "status 404")
    await fails(provider, "does not respond")


async def fails(provider: Provider, why: str) -> None:
    with pytest.raises(UnreadableKeysError, match=why):
        await provider.read()


async def test_the_certificate_of_the_provider_must_be_trusted(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    async with running_site(context) as site:
        await fails(Provider(site.url, trusted_certificates(None)), "does not respond")
        trusting = Provider(site.url, trusted_certificates(file))
        assert await trusting.read() == key_set(RSA).encode()
        site.discover(jwks_uri=site.url.replace("https", "http") + "/jwks")
        await fails(trusting, "no jwks_uri with https")


def certificate(folder: Path) -> Path:
    """Write a key and a self-signed certificate for 127.0.0.1 to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "provider.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


async def test_a_file_of_keys_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    with pytest.raises(UnreadableKeysError, match="cannot be read: No such file"):
        await KeyFile(file).read()
    file.write_bytes(b" " * (key_sources.MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(UnreadableKeysError, match="more than"):
        await KeyFile(file).read()


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://login.example.com", True),
        ("https://login.example.com:8443/realms/a", True),
        ("http://localhost:8080", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://login.example.com", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://0.0.0.0", False),
        ("https://", False),
        ("https://user:password@login.example.com", False),
        ("http://[::1", False),
        ("login.example.com", False),
        ("", False),
    ],
)
def test_keys_come_over_https_or_from_this_machine(url: str, safe: bool) -> None:
    assert is_safe_url(url) is safe


PUBLIC = RSA.as_dict(private=False)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"keys": null}',
        '{"keys": {}}',
        '{"keys": []}',
        '{"keys": [null, 7, "a", [], {}]}',
        "[" * 100_000,
        *(
            json.dumps({"keys": [key]})
            for key in (
                PUBLIC | {"kty": "oct", "k": "AAAA"},
                PUBLIC | {"kty": ["RSA"]},
                PUBLIC | {"kty": "rsa"},
                PUBLIC | {"n": 7},
                PUBLIC | {"n": ""},
                PUBLIC | {"n": "é"},
                PUBLIC | {"n": "A"},
                PUBLIC | {"e": ""},
                PUBLIC | {"e": "AA"},
                PUBLIC | {"e": "AQ"},
                PUBLIC | {"kid": 7},
                PUBLIC | {"use": "enc"},
                PUBLIC | {"use": 7},
                PUBLIC | {"alg": "RS512"},
                PUBLIC | {"alg": "HS256"},
                PUBLIC | {"alg": None},
                PUBLIC | {"key_ops": []},
                PUBLIC | {"key_ops": "verify"},
                PUBLIC | {"key_ops": None},
                EC.as_dict(private=False) | {"x": "AAAA"},
                EC.as_dict(private=False) | {"crv": "P-521"},
                EC.as_dict(private=False) | {"crv": "secp256k1"},
                ED.as_dict(private=False) | {"x": "AAAA"},
                ED.as_dict(private=False) | {"crv": "X25519"},
                RSA.as_dict(private=True),
            )
        ),
    ],
)
def test_a_document_without_a_key_of_use_is_refused(document: str) -> None:
    with pytest.raises(UnreadableKeysError):
        KeySet.parsed(document.encode())


def test_a_key_is_used_for_what_it_is_meant_for_alone() -> None:
    keys = KeySet.parsed(key_set(*SHOWN).encode())
    fitting = {
        (key.kid, algorithm)
        for key in SHOWN
        for algorithm in ("RS256", "PS256", "ES256", "EdDSA", "HS256", "none", "RS512", "ES384")
        if keys.fitting(key.kid, algorithm)
    }
    assert fitting == {
        ("rsa", "RS256"),
        ("rsa", "PS256"),
        ("pss", "PS256"),
        ("ec", "ES256"),
        ("ed", "EdDSA"),
    }


def test_two_keys_may_share_an_id() -> None:
    other = RSAKey.generate_key(2048, {"kid": "rsa"})
    keys = KeySet.parsed(key_set(RSA, other).encode())
    assert len(keys.fitting("rsa", "RS256")) == 2
    assert keys.fitting(None, "RS256") == ()
