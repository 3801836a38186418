"""Sources of an OpenID provider's keys: the limits for all of them, and the source that reads a file."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

MAX_DOCUMENT_BYTES = 256 * 1024

# Returns a JSON Web Key Set as text. Raises UnreadableKeysError.
KeySource = Callable[[], Awaitable[bytes]]


class UnreadableKeysError(Exception):
    """Keys that cannot be read. The text tells the operator why."""


def is_safe_url(url: str) -> bool:
    """Return whether a URL is HTTPS or on a loopback host, and without a password, because URLs are logged."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    return safe and bool(host) and parts.username is None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class KeyFile:
    """A JSON Web Key Set in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        """Return the content of the file. Raises UnreadableKeysError."""
        try:
            return await asyncio.to_thread(self._read)
        except OSError as error:
            raise UnreadableKeysError(f"{self._path} cannot be read: {error.strerror}") from error

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return limited(file.read(MAX_DOCUMENT_BYTES + 1), str(self._path))


def limited(document: bytes, source: str) -> bytes:
    """Return the document. Raises UnreadableKeysError if it exceeds MAX_DOCUMENT_BYTES."""
    if len(document) > MAX_DOCUMENT_BYTES:
        raise UnreadableKeysError(f"{source} has more than {MAX_DOCUMENT_BYTES} bytes")
    return document
