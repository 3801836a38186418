"""Bearer tokens of an OpenID provider: whose they are, once they are proved to be its own."""

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

# Each of the two halves of what is remembered.
HALF_BYTES = 16 * 1024 * 1024
# What an entry takes beside the token and the names in it, about.
ENTRY_BYTES = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    identity: Identity
    expires: float
    bytes: int


def _bytes(_: str, remembered: _Remembered) -> int:
    return remembered.bytes


class RememberedTokens:
    """Tokens that were verified, until they expire. Those that are used again are kept apart from those that were seen
    once, so that no flood of new ones drives them out.
    """

    def __init__(self) -> None:
        self._once: BoundedCache[str, _Remembered] = BoundedCache(limit_bytes=HALF_BYTES, size_of=_bytes)
        self._again: BoundedCache[str, _Remembered] = BoundedCache(limit_bytes=HALF_BYTES, size_of=_bytes)
        # Every call looks its token up.
        self._peek, self._touch = self._again.peek, self._again.touch

    def __len__(self) -> int:
        return len(self._once) + len(self._again)

    @property
    def bytes(self) -> int:
        """What they take in memory, about."""
        return self._once.bytes + self._again.bytes

    def get(self, token: str) -> Identity | None:
        """Whose token it is, if that is known. This is on the way of every call."""
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
        """From now on the token is known, until it expires."""
        assert identity.expires is not None
        names = sum(map(sys.getsizeof, identity.principals)) + sys.getsizeof(identity.groups)
        size = ENTRY_BYTES + sys.getsizeof(token) + names
        self._once.put(token, _Remembered(identity=identity, expires=identity.expires, bytes=size))

    def clear(self) -> None:
        """None is known any more."""
        self._once.clear()
        self._again.clear()


class Tokens:
    """Verifies tokens, on the event loop: it takes a tenth of a millisecond, once a token."""

    def __init__(self, rules: TokenRules, source: KeySource) -> None:
        self.remembered = RememberedTokens()
        self.keys = ProviderKeys(source, withdrawn=self.remembered.clear)
        self.known = self.remembered.get
        self.run = self.keys.run
        self._rules = rules

    async def verify(self, text: str) -> Identity:
        """Whose token it is. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        token = SignedToken.parsed(text)
        await self._check_signature(token)
        identity = self._rules.identity(token.claims(), time.time())
        self.remembered.add(text, identity)
        return identity

    async def _check_signature(self, token: SignedToken) -> None:
        if self._is_signed(token):
            return
        # With a known kid it is the signature that is wrong; else the provider may have a new key.
        if token.key_id is None or not self.keys.fitting(token.key_id, token.algorithm):
            await self.keys.ask_provider()
            if self._is_signed(token):
                return
        raise UnauthenticatedError("the token is not signed with a key that its provider has for that")

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
