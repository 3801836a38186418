"""Parsing of signed JSON Web Tokens (RFC 7515, compact form). Nothing in the result is verified."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import NoReturn, cast

from configsvc.domain.claims import Claims
from configsvc.domain.errors import UnauthenticatedError

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
MAX_TOKEN_BYTES = 16 * 1024

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# Access tokens and ID tokens. A provider signs other kinds, such as logout tokens, with the same keys.
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """A token that is not verified: use its key_id and algorithm only to look up a key."""

    key_id: str | None
    algorithm: str
    content: bytes
    signature: bytes

    @classmethod
    def parsed(cls, text: str) -> "SignedToken":
        """Return the parsed token. Raises UnauthenticatedError."""
        # Cheap checks first: anybody can send anything.
        if len(text) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        if not _COMPACT.fullmatch(text):
            raise UnauthenticatedError("the token is not a signed JSON Web Token in compact form")
        content, _, signature = text.rpartition(".")
        header = _json_object(_decoded(content.partition(".")[0]))
        key_id, algorithm = _checked_header(header)
        return cls(key_id=key_id, algorithm=algorithm, content=content.encode(), signature=_decoded(signature))

    def claims(self) -> Claims:
        """Return the claims. Verify the signature first. Raises UnauthenticatedError."""
        return _json_object(_decoded(self.content.decode().partition(".")[2]))


def _checked_header(header: Claims) -> tuple[str | None, str]:
    if "crit" in header or "b64" in header:
        raise UnauthenticatedError("the token requires unsupported extensions: crit and b64 are not accepted")
    kind, algorithm, key_id = header.get("typ", "JWT"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise UnauthenticatedError("the token's type (typ) must be JWT or at+jwt")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise UnauthenticatedError(f"the token's algorithm (alg) must be one of: {', '.join(ALGORITHMS)}")
    if not isinstance(key_id, str | None):
        raise UnauthenticatedError("the token's kid must be a string")
    return key_id, algorithm


def _decoded(part: str) -> bytes:
    """Return the bytes of a part in canonical base64url. Other spellings would make other tokens with one signature."""
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise _malformed() from error
    if urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise _malformed()
    return data


def _json_object(data: bytes) -> Claims:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_distinct, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(value, dict):
        raise _malformed()
    return cast("Claims", value)


def _distinct(members: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("duplicate name in an object")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _malformed() -> UnauthenticatedError:
    return UnauthenticatedError(
        "the token is malformed: its header and claims must be base64url of JSON objects without duplicate names"
    )
