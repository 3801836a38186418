"""An OIDC provider: tokens, and the key file for CONFIGSVC_OIDC_JWKS_FILE."""

import json
import time
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

ISSUER = "https://issuer.example"
AUDIENCE = "configsvc"
LIFE_SECONDS = 86_400
HEADER = "authorization"


class Provider:
    """An issuer of RS256 tokens. All its users are admins."""

    def __init__(self, folder: Path, *users: str) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": "bench"})
        file = folder / "jwks.json"
        file.write_text(json.dumps(KeySet([self._key]).as_dict(private=False)), encoding="utf-8")
        self.environment = {
            "CONFIGSVC_AUTH": "oidc",
            "CONFIGSVC_OIDC_ISSUER": ISSUER,
            "CONFIGSVC_OIDC_JWKS_FILE": str(file),
            "CONFIGSVC_ADMINS": ",".join(f"user:{user}" for user in users),
        }

    def authorization(self, user: str) -> str:
        """Return the authorization metadata of a user's calls."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "groups": ["bench"], "exp": now + LIFE_SECONDS}
        return f"Bearer {jwt.encode({'alg': 'RS256', 'kid': 'bench'}, claims, self._key)}"
