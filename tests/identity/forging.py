"""Tokens as forgers make them: any bytes as header and claims, any key, any signature."""

import json
import time
import warnings
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.identity.tokens import AUDIENCE, ISSUER

RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
PSS = RSAKey.generate_key(2048, {"kid": "pss", "alg": "PS256"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
# Keys that the provider shows but that no token may be signed with.
ENCRYPTION = RSAKey.generate_key(2048, {"kid": "encryption", "use": "enc"})
WRAPPING = RSAKey.generate_key(2048, {"kid": "wrapping", "key_ops": ["sign"]})
SECP = ECKey.generate_key("P-384", {"kid": "p384"})
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SMALL = RSAKey.import_key(rsa.generate_private_key(65537, 1024), {"kid": "small"})
SHOWN = (RSA, PSS, EC, ED, ENCRYPTION, WRAPPING, SECP, SMALL)


def key_set(*keys: Key) -> str:
    """Return the key set of a provider with these keys."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def encoded(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**more: Any) -> dict[str, Any]:
    """Return the claims of a good token of the admin; None removes a claim."""
    now = int(time.time())
    everything = {"iss": ISSUER, "aud": AUDIENCE, "sub": "root", "iat": now, "exp": now + 3600} | more
    return {name: value for name, value in everything.items() if value is not None}


def signed(
    header: bytes | dict[str, Any], said: bytes | dict[str, Any], key: Key = RSA, algorithm: str = "RS256"
) -> str:
    """Return a token with a correct signature of the key."""
    content = f"{encoded(header)}.{encoded(said)}"
    signature = JWSRegistry.algorithms[algorithm].sign(content.encode(), key)
    return f"{content}.{encoded(signature)}"


def token(key: Key = RSA, algorithm: str = "RS256", *, header: dict[str, Any] | None = None, **more: Any) -> str:
    """Return a token that is good except for the given parts."""
    return signed({"alg": algorithm, "kid": key.kid} | (header or {}), claims(**more), key, algorithm)
