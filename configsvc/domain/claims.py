"""The claims of a token: the checks that they must pass, and the identity that they name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from configsvc.domain.access import MAX_PRINCIPAL_NAME_LENGTH, Authentication, Identity, is_principal
from configsvc.domain.errors import UnauthenticatedError

MAX_GROUPS = 1_000
# The last second of the year 9999.
MAX_TIME = 253_402_300_799

Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """The claims that an accepted token must have. `leeway_seconds` is the allowed difference of clocks."""

    issuer: str
    audience: str
    user_claim: str
    groups_claim: str
    leeway_seconds: float

    def identity(self, claims: Claims, now: float) -> Identity:
        """Return the identity that the claims name at `now`, in seconds since 1970. Raises UnauthenticatedError."""
        if claims.get("iss") != self.issuer:
            raise UnauthenticatedError("the token is from another issuer")
        if self.audience not in _texts(claims.get("aud")):
            raise UnauthenticatedError("the token is for another audience")
        return Identity(
            principal=_principal("user", claims.get(self.user_claim)),
            groups=self._groups(claims),
            authentication=Authentication.OIDC,
            expires=self._expiry(claims, now),
        )

    def _expiry(self, claims: Claims, now: float) -> float:
        expires = _time(claims, "exp")
        if expires is None:
            raise UnauthenticatedError("the token has no expiry (exp)")
        if expires + self.leeway_seconds <= now:
            raise UnauthenticatedError("the token has expired")
        for name in ("nbf", "iat"):
            begins = _time(claims, name)
            if begins is not None and begins - self.leeway_seconds > now:
                raise UnauthenticatedError("the token is not valid yet")
        return expires + self.leeway_seconds

    def _groups(self, claims: Claims) -> frozenset[str]:
        groups = _texts(claims.get(self.groups_claim, []))
        if len(groups) > MAX_GROUPS:
            raise UnauthenticatedError(f"the token names more than {MAX_GROUPS} groups")
        return frozenset(_principal("group", group) for group in groups)


def _texts(claim: object) -> list[object]:
    """Return the items of a claim that may be a list or a single value."""
    return cast("list[object]", claim) if isinstance(claim, list) else [claim]


def _time(claims: Claims, name: str) -> int | float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    # NaN is in no range, and a bool is an int.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TIME:
        raise UnauthenticatedError(f"the token's {name} is not a time in seconds since 1970")
    return value


def _principal(kind: str, name: object) -> str:
    if not isinstance(name, str) or not is_principal(f"{kind}:{name}"):
        raise UnauthenticatedError(
            f"the token's {kind} name is not 1 to {MAX_PRINCIPAL_NAME_LENGTH} printable characters"
        )
    return f"{kind}:{name}"
