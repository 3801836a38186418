"""Authorization metadata in every form that a client or an attacker may send."""

import asyncio
from pathlib import Path

import grpc
import pytest

from bench.loads.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    _frame,
    _header_block,
    _text,
    enveloped,
)
from configapi.v1.application_service_pb2 import ListApplicationsRequest
from tests.identity.forging import RSA, key_set, token
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Service, reason_if_any, running_service

Metadata = tuple[tuple[str, str | bytes], ...]

MARKER = "xyzzyMARKER"


async def outcome(service: Service, metadata: Metadata) -> tuple[str, str]:
    """Return the status of a call with the metadata, and its text."""
    try:
        await service.applications.ListApplications(ListApplicationsRequest(), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return reason_if_any(error) or error.code().name, error.details() or ""
    return "OK", ""


async def test_an_authorization_is_one_bearer_token_or_it_is_refused(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        good = str(bearing("root")[0][1]).removeprefix("Bearer ")
        for scheme in ("Bearer ", "bearer ", "BEARER ", "bEaReR   "):
            assert await outcome(service, (("authorization", scheme + good),)) == ("OK", "")
        refused: dict[str, tuple[Metadata, str]] = {
            "none": ((), "has no bearer token"),
            "another key": ((("x-authorization", f"Bearer {good}"),), "has no bearer token"),
            "binary": ((("authorization-bin", f"Bearer {good}".encode()),), "has no bearer token"),
            "empty": ((("authorization", ""),), "must be: Bearer TOKEN"),
            "no token": ((("authorization", "Bearer"),), "must be: Bearer TOKEN"),
            "no scheme": ((("authorization", good),), "must be: Bearer TOKEN"),
            "no space": ((("authorization", f"Bearer{good}"),), "must be: Bearer TOKEN"),
            "another scheme": ((("authorization", f"Basic {MARKER}"),), "must be: Bearer TOKEN"),
            "twice the same": ((("authorization", f"Bearer {good}"),) * 2, "more than one"),
            "good and bad": ((("authorization", f"Bearer {good}"), ("authorization", MARKER)), "more than one"),
            "bad and good": ((("authorization", MARKER), ("authorization", f"Bearer {good}")), "more than one"),
            "two in one": ((("authorization", f"Bearer {good}, Bearer {good}"),), "compact form"),
            "two tokens": ((("authorization", f"Bearer {good} {good}"),), "compact form"),
            "in quotes": ((("authorization", f'Bearer "{good}"'),), "compact form"),
        }
        for name, (metadata, told) in refused.items():
            reason, text = await outcome(service, metadata)
            assert (name, reason) == (name, "UNAUTHENTICATED")
            assert told in text, name
            assert MARKER not in text, name


async def test_large_metadata_has_one_limit(database_url: str, tmp_path: Path) -> None:
    settings = oidc_settings(tmp_path)
    (tmp_path / "jwks.json").write_text(key_set(RSA), encoding="utf-8")
    async with running_service(database_url, **settings) as service:
        large = token(groups=["g" * 500] * 22)
        assert 15_000 < len(large) < 16 * 1024
        for _ in range(2):
            assert await outcome(service, (("authorization", f"Bearer {large}"),)) == ("OK", "")
            assert (await outcome(service, (("authorization", f"Bearer {'A' * 30_000}"),)))[0] == "UNAUTHENTICATED"
            assert (await outcome(service, (("authorization", f"Bearer {MARKER * 3_000}"),)))[0] == "RESOURCE_EXHAUSTED"
            assert (await outcome(service, (("x-other", MARKER * 3_000), *bearing("root"))))[0] == "RESOURCE_EXHAUSTED"


async def test_headers_that_are_no_text_are_refused_and_not_logged(
    database_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        for value in (b"Bearer \xff\xfe" + MARKER.encode(), b"\xc3\x28" + MARKER.encode()):
            answer = await raw_answer(service.address, value)
            assert b"16" in answer
            assert MARKER.encode() not in answer
    assert MARKER not in "".join((*capfd.readouterr(), caplog.text))


async def raw_answer(address: str, authorization: bytes) -> bytes:
    """Return the trailers of a call with this header, which no gRPC client would send."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    header = b"\0" + _text("authorization") + bytes([len(authorization)]) + authorization
    block = _header_block(address, "/configapi.v1.ApplicationService/ListApplications") + header
    writer.write(PREFACE + _frame(SETTINGS, 0, 0, b""))
    writer.write(_frame(HEADERS, END_HEADERS, 1, block))
    writer.write(_frame(DATA, END_STREAM, 1, enveloped(b"")))
    async with asyncio.timeout(20):
        while True:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == HEADERS:
                writer.close()
                return payload
