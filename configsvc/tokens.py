"""Bearer tokens of an OpenID provider: what is in them, once they are proved to be its own."""

import json
import time
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from configsvc.domain.access import MAX_PRINCIPAL_NAME_LENGTH, Authentication, Identity
from configsvc.domain.errors import UnauthenticatedError

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
MAX_TOKEN_BYTES = 16 * 1024
REMEMBERED_TOKENS = 10_000

# The keys that tokens may be signed with, among them that of the id, if there is one.
Keys = Callable[[str | None], Awaitable[KeySet]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must say to be accepted. Seconds are those by which clocks may differ."""

    issuer: str
    audience: str
    groups_claim: str
    leeway_seconds: float


class Tokens:
    """Verifies tokens, and remembers those that it has verified until they expire."""

    def __init__(self, rules: TokenRules, keys: Keys) -> None:
        self._rules = rules
        self._keys = keys
        # The one used last is the last.
        self._known: OrderedDict[str, Identity] = OrderedDict()

    def known(self, token: str) -> Identity | None:
        """Whose token it is, if that is remembered."""
        identity = self._known.get(token)
        if identity is None:
            return None
        if identity.expires is not None and identity.expires <= time.time():
            del self._known[token]
            return None
        return identity

    async def verify(self, token: str) -> Identity:
        """Whose token it is. Raises UnauthenticatedError."""
        if len(token) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        keys = await self._keys(_key_id(token))
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            self._registry.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise UnauthenticatedError(f"the token is refused: {type(error).__name__}") from error
        identity = self._identity(claims)
        self._known[token] = identity
        while len(self._known) > REMEMBERED_TOKENS:
            self._known.popitem(last=False)
        return identity

    @property
    def _registry(self) -> jwt.JWTClaimsRegistry:
        rules = self._rules
        return jwt.JWTClaimsRegistry(
            leeway=int(rules.leeway_seconds),
            iss={"essential": True, "value": rules.issuer},
            aud={"essential": True, "value": rules.audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    def _identity(self, claims: dict[str, object]) -> Identity:
        groups = claims.get(self._rules.groups_claim, [])
        named = [claims["sub"], *(cast("list[object]", groups) if isinstance(groups, list) else [groups])]
        if not all(isinstance(one, str) and 0 < len(one) <= MAX_PRINCIPAL_NAME_LENGTH for one in named):
            raise UnauthenticatedError("the token is refused: its subject or its groups are no names")
        expires = claims["exp"]
        assert isinstance(expires, int | float)
        return Identity(
            principal=f"user:{named[0]}",
            groups=frozenset(f"group:{group}" for group in named[1:]),
            authentication=Authentication.OIDC,
            expires=expires + self._rules.leeway_seconds,
        )


def _key_id(token: str) -> str | None:
    """What the token says of its key, which nobody has proved yet. Raises UnauthenticatedError."""
    try:
        header = json.loads(_decoded(token.split(".", 1)[0]))
        key_id = header.get("kid")
    except (ValueError, AttributeError) as error:
        raise UnauthenticatedError("the token is not a JSON Web Token") from error
    return key_id if isinstance(key_id, str) else None


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
