"""Tokens of an OpenID provider that serves its keys over HTTP."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from structlog.testing import capture_logs

from configapi.v1.application_service_pb2 import CreateApplicationRequest, ListApplicationsRequest
from configsvc.identity import key_rotation
from tests.identity.forging import RSA, key_set, token
from tests.identity.provider import OpenIdProvider, reserved_port, running_provider
from tests.identity.tokens import bearing, oidc_settings
from tests.service import Service, reason_of, running_service, status_of

LIMIT_SECONDS = 30.0

Metadata = tuple[tuple[str, str], ...]


@pytest.fixture(autouse=True)
def without_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(key_rotation, "RETRY_SECONDS", 0.1)


def settings_for(provider: OpenIdProvider, **more: Any) -> dict[str, Any]:
    return {"auth": "oidc", "admins": "user:root", "oidc_issuer": provider.issuer} | more


async def listed(service: Service, metadata: Metadata) -> None:
    await service.applications.ListApplications(ListApplicationsRequest(), metadata=metadata)


async def refusal(service: Service, metadata: Metadata) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(service, metadata)
    return caught.value


async def until_reason(service: Service, metadata: Metadata, reason: str) -> grpc.aio.AioRpcError:
    """Return the error once it has the reason."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while reason_of(error := await refusal(service, metadata)) != reason:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.02)
    return error


async def until_accepted(service: Service, metadata: Metadata) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                return await listed(service, metadata)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.02)


async def test_tokens_of_a_provider_are_accepted_through_its_absence_and_its_change_of_keys(database_url: str) -> None:
    with reserved_port() as port, ExitStack() as first_life:
        provider = first_life.enter_context(running_provider(port))
        root = await provider.bearing("root")
        async with running_service(database_url, **settings_for(provider)) as service:
            await service.applications.CreateApplication(CreateApplicationRequest(name="shop"), metadata=root)
            alice, late = await provider.bearing("alice", "root"), await provider.bearing("root")
            others = (("authorization", f"Bearer {await provider.token('root', client='other')}"),)
            first_life.close()
            # The known keys suffice, for verified tokens and for new ones.
            await listed(service, root)
            await listed(service, late)
            assert reason_of(await refusal(service, alice)) == "PERMISSION_DENIED"
            assert (await refusal(service, others)).details() == "the token is for another audience"
            unknown = (("authorization", f"Bearer {token(iss=provider.issuer)}"),)
            error = await until_reason(service, unknown, "IDENTITY_PROVIDER_UNAVAILABLE")
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            retry = RetryInfo()
            assert any(detail.Unpack(retry) for detail in status_of(error).details)
            assert retry.retry_delay.ToMilliseconds() > 0
            with running_provider(port) as second_life:
                await until_accepted(service, await second_life.bearing("root"))
                # The key that it was signed with is withdrawn.
                await until_reason(service, root, "UNAUTHENTICATED")


async def test_a_service_starts_while_the_provider_is_away_and_says_so(database_url: str) -> None:
    with reserved_port() as port, capture_logs() as lines:
        with running_provider(port) as provider:
            pass
        async with running_service(database_url, **settings_for(provider)) as service:
            metadata = (("authorization", f"Bearer {token(iss=provider.issuer)}"),)
            await until_reason(service, metadata, "IDENTITY_PROVIDER_UNAVAILABLE")
            told = [line for line in lines if line["event"] == "cannot read the keys of the identity provider"]
            assert told
            assert told[0]["log_level"] == "warning"
            assert provider.issuer in told[0]["why"]
            with running_provider(port) as there:
                await until_accepted(service, await there.bearing("root"))


async def test_keys_in_a_file_are_read_again_when_it_changes(database_url: str, tmp_path: Path) -> None:
    async with running_service(database_url, **oidc_settings(tmp_path)) as service:
        metadata = (("authorization", f"Bearer {token()}"),)
        await listed(service, bearing("root"))
        await until_reason(service, metadata, "UNAUTHENTICATED")
        (tmp_path / "jwks.json").write_text(key_set(RSA), encoding="utf-8")
        await until_accepted(service, metadata)
        await until_reason(service, bearing("root"), "UNAUTHENTICATED")
        (tmp_path / "jwks.json").unlink()
        await until_reason(service, bearing("root"), "IDENTITY_PROVIDER_UNAVAILABLE")
        await listed(service, metadata)


async def test_a_thousand_calls_with_unknown_keys_ask_the_provider_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_provider() as provider:
        async with running_service(database_url, **settings_for(provider)) as service:
            await listed(service, await provider.bearing("root"))
            monkeypatch.setattr(key_rotation, "PAUSE_SECONDS", 60.0)
            before = provider.asked["/jwks"]
            unknown = [
                (("authorization", f"Bearer {token(header={'kid': f'unknown-{number}'}, iss=provider.issuer)}"),)
                for number in range(200)
            ]
            errors = await asyncio.gather(*(refusal(service, metadata) for metadata in unknown for _ in range(5)))
            assert {reason_of(error) for error in errors} == {"UNAUTHENTICATED"}
            assert provider.asked["/jwks"] <= before + 1
