"""Verification of an OpenID provider's bearer tokens, and a cache of verified ones."""

import sys
import time
from dataclasses import dataclass

from configsvc.domain.access import Identity
from configsvc.domain.bounded_cache import BoundedCache
from configsvc.domain.claims import TokenRules
from configsvc.domain.errors import UnauthenticatedError
from configsvc.identity.jws import SignedToken
from configsvc.identity.key_rotation import ProviderKeys
from configsvc.identity.key_sources import KeySource
from configsvc.telemetry.families import Families, gauge

# The size of each half of the cache.
HALF_BYTES = 16 * 1024 * 1024
# The approximate memory of an entry besides its token and the names in it.
ENTRY_BYTES = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    identity: Identity
    expires: float
    bytes: int


def _bytes(_: str, remembered: _Remembered) -> int:
    return remembered.bytes


class RememberedTokens:
    """A cache of verified tokens until they expire.

    Tokens that were used again are in a half of their own, so that a flood of new tokens does not evict them.
    """

    def __init__(self) -> None:
        self._once: BoundedCache[str, _Remembered] = BoundedCache(limit_bytes=HALF_BYTES, size_of=_bytes)
        self._again: BoundedCache[str, _Remembered] = BoundedCache(limit_bytes=HALF_BYTES, size_of=_bytes)
        # Bound once: every call looks up its token.
        self._peek, self._touch = self._again.peek, self._again.touch

    def __len__(self) -> int:
        return len(self._once) + len(self._again)

    @property
    def bytes(self) -> int:
        """The approximate memory of all entries."""
        return self._once.bytes + self._again.bytes

    def get(self, token: str) -> Identity | None:
        """Return the identity of a cached token, or None. Every call comes here."""
        remembered = self._peek(token)
        if remembered is None:
            remembered = self._used_again(token)
            if remembered is None:
                return None
        if remembered.expires <= time.time():
            self._again.pop(token)
            return None
        self._touch(token)
        return remembered.identity

    def _used_again(self, token: str) -> _Remembered | None:
        remembered = self._once.pop(token)
        if remembered is not None:
            self._again.put(token, remembered)
        return remembered

    def add(self, token: str, identity: Identity) -> None:
        """Cache a verified token until it expires."""
        assert identity.expires is not None
        names = sum(map(sys.getsizeof, identity.principals)) + sys.getsizeof(identity.groups)
        size = ENTRY_BYTES + sys.getsizeof(token) + names
        self._once.put(token, _Remembered(identity=identity, expires=identity.expires, bytes=size))

    def clear(self) -> None:
        """Forget all tokens."""
        self._once.clear()
        self._again.clear()


class Tokens:
    """The verifier of tokens. It runs on the event loop: 0.1 ms, once per token."""

    def __init__(self, rules: TokenRules, source: KeySource) -> None:
        self.remembered = RememberedTokens()
        self.keys = ProviderKeys(source, withdrawn=self.remembered.clear)
        self.known = self.remembered.get
        self.run = self.keys.run
        self._rules = rules

    async def verify(self, text: str) -> Identity:
        """Return the identity that a token names. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        token = SignedToken.parsed(text)
        await self._check_signature(token)
        identity = self._rules.identity(token.claims(), time.time())
        self.remembered.add(text, identity)
        return identity

    async def _check_signature(self, token: SignedToken) -> None:
        if self._is_signed(token):
            return
        # With a known kid the signature is wrong; otherwise the provider may have a new key.
        if token.key_id is None or not self.keys.fitting(token.key_id, token.algorithm):
            await self.keys.ask_provider()
            if self._is_signed(token):
                return
        raise UnauthenticatedError("the token's signature does not match a key of its provider")

    def _is_signed(self, token: SignedToken) -> bool:
        return any(
            key.has_signed(token.content, token.signature, token.algorithm)
            for key in self.keys.fitting(token.key_id, token.algorithm)
        )


class TokenMetrics:
    """The metrics of tokens and of the provider's keys: zeros if the service accepts no tokens."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def collect(self) -> Families:
        """Yield the metrics."""
        tokens = self._tokens
        count, used_bytes = (len(tokens.remembered), tokens.remembered.bytes) if tokens else (0, 0)
        keys, age_seconds = (len(tokens.keys), tokens.keys.age_seconds) if tokens else (0, 0)
        yield gauge("remembered_tokens", "Verified tokens in memory.", count)
        yield gauge("remembered_token_bytes", "Approximate memory of these tokens.", used_bytes)
        yield gauge("provider_keys", "Keys of the identity provider in use.", keys)
        yield gauge("provider_keys_age_seconds", "Time since these keys were read.", age_seconds)
