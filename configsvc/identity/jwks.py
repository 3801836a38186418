"""JSON Web Key Sets: selection of keys for a token, and verification of signatures."""

import json
from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from configsvc.identity.key_sources import UnreadableKeysError

if TYPE_CHECKING:
    from joserfc.jwk import Key

MAX_KEYS = 100
RSA_BITS = range(2_048, 16_384 + 1)

# By key type: algorithms, allowed curves (None: no curve), and the members to import, none of them of a private key.
_ALGORITHMS = {"RSA": ("RS256", "PS256"), "EC": ("ES256",), "OKP": ("EdDSA",)}
_CURVES = {"RSA": {None}, "EC": {"P-256"}, "OKP": {"Ed25519"}}
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A key and the algorithms that it may be used for."""

    key_id: str | None
    thumbprint: str
    algorithms: tuple[str, ...]
    key: "Key"

    def has_signed(self, content: bytes, signature: bytes, algorithm: str) -> bool:
        """Return whether this key made the signature."""
        # Like all of the library, imported when the first key is there: most services have no provider.
        from joserfc.jws import JWSRegistry  # noqa: PLC0415

        return JWSRegistry.algorithms[algorithm].verify(content, signature, self.key)


class KeySet:
    """Keys by key id and algorithm."""

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self._by_id: defaultdict[tuple[str, str], list[VerificationKey]] = defaultdict(list)
        self._by_algorithm: defaultdict[str, list[VerificationKey]] = defaultdict(list)
        thumbprints: set[str] = set()
        for key in keys:
            thumbprints.add(key.thumbprint)
            for algorithm in key.algorithms:
                self._by_algorithm[algorithm].append(key)
                if key.key_id is not None:
                    self._by_id[key.key_id, algorithm].append(key)
        self.thumbprints = frozenset(thumbprints)

    @classmethod
    def parsed(cls, document: bytes) -> "KeySet":
        """Return the usable keys of a document. Raises UnreadableKeysError if there is none."""
        try:
            value = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise UnreadableKeysError("the JSON Web Key Set is not JSON") from error
        members = cast("dict[str, object]", value).get("keys") if isinstance(value, dict) else None
        if not isinstance(members, list):
            raise UnreadableKeysError("the JSON Web Key Set has no list of keys")
        listed = cast("list[object]", members)[:MAX_KEYS]
        keys = [key for member in listed if (key := _verification_key(member)) is not None]
        if not keys:
            raise UnreadableKeysError("the JSON Web Key Set has no key for RS256, PS256, ES256 or EdDSA")
        return cls(keys)

    def fitting(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys that may have signed a token. Without a key id, exactly one key must have the algorithm."""
        if key_id is not None:
            return self._by_id.get((key_id, algorithm), ())
        only = self._by_algorithm.get(algorithm, ())
        return only if len(only) == 1 else ()


def _verification_key(value: object) -> VerificationKey | None:
    """Return the key, or None if it is not usable."""
    if not isinstance(value, dict):
        return None
    member = cast("dict[str, Any]", value)
    key_id = member.get("kid")
    algorithms = _algorithms(member)
    key = _imported(member) if algorithms and isinstance(key_id, str | None) else None
    if key is None:
        return None
    return VerificationKey(key_id=key_id, thumbprint=key.thumbprint(), algorithms=algorithms, key=key)


def _algorithms(member: dict[str, Any]) -> tuple[str, ...]:
    # Do not trust a published private key.
    operations = member.get("key_ops", ["verify"])
    may_verify = isinstance(operations, list) and "verify" in operations
    if member.get("use", "sig") != "sig" or not may_verify or "d" in member:
        return ()
    kind = member.get("kty")
    fitting = _ALGORITHMS.get(kind, ()) if isinstance(kind, str) else ()
    return tuple(name for name in fitting if member.get("alg", name) == name)


def _imported(member: dict[str, Any]) -> "Key | None":
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import import_key  # noqa: PLC0415

    kind = member["kty"]
    parts: dict[str, Any] = {name: member.get(name) for name in ("kty", *_MEMBERS[kind])}
    if not all(isinstance(part, str) for part in parts.values()) or parts.get("crv") not in _CURVES[kind]:
        return None
    try:
        if kind == "RSA" and _bits(parts["n"]) not in RSA_BITS:
            return None
        return import_key(cast("Any", parts))
    except (JoseError, ValueError):
        return None


def _bits(text: str) -> int:
    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4))).bit_length()
