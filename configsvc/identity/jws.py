"""The form of a signed JSON Web Token (RFC 7515, compact), before anything in it is believed."""

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
# Those of access tokens and of ID tokens. A provider signs others with the same keys, for a logout say.
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """A token, of which key_id and algorithm are its own words: with them a key is looked for, and nothing else."""

    key_id: str | None
    algorithm: str
    content: bytes
    signature: bytes

    @classmethod
    def parsed(cls, text: str) -> "SignedToken":
        """The token. Raises UnauthenticatedError."""
        # First what costs nothing: anybody can send it.
        if len(text) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        if not _COMPACT.fullmatch(text):
            raise UnauthenticatedError("the token is not a signed JSON Web Token in its compact form")
        content, _, signature = text.rpartition(".")
        header = _json_object(_decoded(content.partition(".")[0]))
        key_id, algorithm = _checked_header(header)
        return cls(key_id=key_id, algorithm=algorithm, content=content.encode(), signature=_decoded(signature))

    def claims(self) -> Claims:
        """What it says, which is worth as much as its signature. Raises UnauthenticatedError."""
        return _json_object(_decoded(self.content.decode().partition(".")[2]))


def _checked_header(header: Claims) -> tuple[str | None, str]:
    if "crit" in header or "b64" in header:
        raise UnauthenticatedError("the token asks for extensions that are not supported")
    kind, algorithm, key_id = header.get("typ", "JWT"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise UnauthenticatedError("the token is of a type that is not accepted: JWT and at+jwt are")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise UnauthenticatedError(f"the token is not signed in a way that is accepted: {', '.join(ALGORITHMS)}")
    if not isinstance(key_id, str | None):
        raise UnauthenticatedError("the token's kid is no text")
    return key_id, algorithm


def _decoded(part: str) -> bytes:
    """The bytes of a part that is written in the one way that RFC 7515 knows: another would be another token, as good
    as the first.
    """
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
        raise ValueError("a name stands twice in an object")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("JSON has no such number")


def _malformed() -> UnauthenticatedError:
    return UnauthenticatedError("the token is malformed: its parts are base64url of JSON objects, each name once")
