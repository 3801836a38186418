"""The keys of an OpenID provider, from a file."""

import asyncio
import json
from pathlib import Path

from joserfc.jwk import KeySet

from configsvc.domain.errors import UnauthenticatedError


class KeyFile:
    """A JSON Web Key Set in a file, read again when a key is asked for that is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = KeySet([])

    async def keys(self, key_id: str | None) -> KeySet:
        """The keys. Raises UnauthenticatedError if they cannot be read."""
        if key_id is None or key_id not in {key.kid for key in self._keys.keys}:
            try:
                text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
                self._keys = KeySet.import_key_set(json.loads(text))
            except (OSError, ValueError) as error:
                raise UnauthenticatedError("the keys of the provider cannot be read") from error
        return self._keys
