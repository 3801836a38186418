"""Discovery of an OpenID provider's keys over HTTP."""

import json
import ssl
from pathlib import Path
from typing import cast

import httpx

from configsvc.identity.key_sources import UnreadableKeysError, is_safe_url, limited


def trusted_certificates(file: Path | None) -> ssl.SSLContext:
    """Return a TLS context that trusts only the certificates of a PEM file, or well-known ones. Raises OSError."""
    if file is None:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=file)


class Provider:
    """An OpenID provider, known by its issuer URL."""

    def __init__(self, issuer: str, trusted: ssl.SSLContext) -> None:
        self._issuer = issuer
        self._trusted = trusted

    async def read(self) -> bytes:
        """Return the provider's JSON Web Key Set. Raises UnreadableKeysError."""
        # No proxy, no .netrc and no redirect: only the host of the URL may answer.
        async with httpx.AsyncClient(verify=self._trusted, trust_env=False, follow_redirects=False) as client:
            discovery = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
            return await _fetched(client, self._keys_url(discovery, await _fetched(client, discovery)))

    def _keys_url(self, discovery: str, document: bytes) -> str:
        try:
            metadata = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise UnreadableKeysError(f"{discovery} is not JSON") from error
        if not isinstance(metadata, dict):
            raise UnreadableKeysError(f"{discovery} is not a JSON object")
        named = cast("dict[str, object]", metadata)
        if named.get("issuer") != self._issuer:
            raise UnreadableKeysError(
                f"{discovery} does not name the issuer {self._issuer}: check CONFIGSVC_OIDC_ISSUER"
            )
        url = named.get("jwks_uri")
        if not isinstance(url, str) or not is_safe_url(url) or self._is_less_safe(url):
            raise UnreadableKeysError(f"{discovery} has no jwks_uri with https")
        return url

    def _is_less_safe(self, url: str) -> bool:
        return self._issuer.startswith("https:") and not url.startswith("https:")


async def _fetched(client: httpx.AsyncClient, url: str) -> bytes:
    # Uncompressed: otherwise a small body that expands would pass the size limit.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        async with client.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                raise UnreadableKeysError(f"{url} returned status {response.status_code}")
            document = b""
            async for part in response.aiter_raw():
                document = limited(document + part, url)
            return document
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreadableKeysError(f"{url} does not respond: {type(error).__name__}: {error}") from error
