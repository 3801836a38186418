"""A provider of tokens for tests: its keys are in a file, as CONFIGSVC_OIDC_JWKS_FILE reads it."""

import json
import time
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = "https://issuer.example"
AUDIENCE = "configsvc"
KEY = ECKey.generate_key("P-256", {"kid": "test"})


def oidc_settings(folder: Path, **more: Any) -> dict[str, Any]:
    """Return settings of a service that accepts these tokens; user:root is its admin."""
    file = folder / "jwks.json"
    file.write_text(json.dumps(KeySet([KEY]).as_dict(private=False)), encoding="utf-8")
    settings: dict[str, Any] = {"auth": "oidc", "admins": "user:root", "oidc_issuer": ISSUER, "oidc_jwks_file": file}
    return settings | more


def token(user: str, *groups: str, **claims: Any) -> str:
    """Return a token of the user, valid for an hour."""
    now = int(time.time())
    everything = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "groups": list(groups), "iat": now, "exp": now + 3600}
    return jwt.encode({"alg": "ES256", "kid": "test"}, everything | claims, KEY, algorithms=["ES256"])


def bearing(user: str, *groups: str, **claims: Any) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call by the user."""
    return (("authorization", f"Bearer {token(user, *groups, **claims)}"),)
