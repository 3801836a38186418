"""The cache of verified tokens: until they expire, in bounded memory."""

import asyncio
import time
from contextlib import suppress
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from configsvc.domain.access import Authentication, Identity
from configsvc.domain.claims import TokenRules
from configsvc.domain.errors import UnauthenticatedError
from configsvc.identity import tokens
from configsvc.identity.jwks import VerificationKey
from configsvc.identity.tokens import RememberedTokens, Tokens
from tests.identity.forging import RSA, key_set, token
from tests.identity.tokens import AUDIENCE, ISSUER


def somebody(*groups: str, seconds: float = 60) -> Identity:
    return Identity(
        principal="user:alice",
        groups=frozenset(groups),
        authentication=Authentication.OIDC,
        expires=time.time() + seconds,
    )


def test_a_token_is_known_until_it_expires() -> None:
    remembered = RememberedTokens()
    alice = somebody()
    remembered.add("a", alice)
    remembered.add("b", somebody(seconds=-1))
    assert [remembered.get("a"), remembered.get("a")] == [alice, alice]
    assert remembered.get("b") is None
    assert remembered.get("c") is None
    assert len(remembered) == 1
    remembered.clear()
    assert remembered.get("a") is None
    assert (len(remembered), remembered.bytes) == (0, 0)


def test_a_flood_of_tokens_drives_out_none_that_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "HALF_BYTES", 1_000_000)
    remembered = RememberedTokens()
    remembered.add("used", somebody())
    assert remembered.get("used")
    for number in range(5_000):
        remembered.add(f"{number:0500}", somebody())
    assert len(remembered) < 2_000
    assert remembered.get("used")


def test_what_is_remembered_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "HALF_BYTES", 1_000_000)
    remembered = RememberedTokens()
    large = somebody(*(f"{number:050}" for number in range(100)))
    for number in range(300):
        remembered.add(f"{number:010000}", large)
        remembered.get(f"{number:010000}")
        remembered.add(f"{number:010001}", large)
        assert remembered.bytes <= 2_000_000
    assert 50 < len(remembered) < 120
    assert remembered.get(f"{299:010000}")
    assert remembered.get(f"{0:010000}") is None


RULES = TokenRules(issuer=ISSUER, audience=AUDIENCE, user_claim="email", groups_claim="roles", leeway_seconds=30)


async def source() -> bytes:
    return key_set(RSA).encode()


async def test_a_token_is_verified_once_and_then_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[bytes] = []
    has_signed = VerificationKey.has_signed

    def noted(key: VerificationKey, content: bytes, *more: Any) -> bool:
        verified.append(content)
        return has_signed(key, content, *more)

    monkeypatch.setattr(VerificationKey, "has_signed", noted)
    accepting = Tokens(RULES, source)
    running = asyncio.create_task(accepting.run())
    good = token(email="r@example.com", roles=["ops"])
    identity = await accepting.verify(good)
    assert identity.principals == ("user:r@example.com", "group:ops")
    assert all(accepting.known(good) is identity for _ in range(10))
    assert len(verified) == 1
    with pytest.raises(FrozenInstanceError):
        identity.principal = "user:other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UnauthenticatedError, match="the token's user name"):
        await accepting.verify(token())
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            await accepting.verify(good[:-10] + "AAAAAAAAAA")
    assert len(accepting.remembered) == 1
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
