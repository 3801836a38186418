"""Where the keys of an OpenID provider may come from, and how long they may be; and those that come from a file."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

MAX_DOCUMENT_BYTES = 256 * 1024

# A JSON Web Key Set as text. Raises UnreadableKeysError.
KeySource = Callable[[], Awaitable[bytes]]


class UnreadableKeysError(Exception):
    """The keys cannot be read; the text tells the operator why."""


def is_safe_url(url: str) -> bool:
    """Whether what is read there comes from the host that the URL names: HTTPS, or a host that is this machine. No
    password is part of it, for it stands in logs.
    """
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
        """The file. Raises UnreadableKeysError."""
        try:
            return await asyncio.to_thread(self._read)
        except OSError as error:
            raise UnreadableKeysError(f"{self._path} cannot be read: {error.strerror}") from error

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return limited(file.read(MAX_DOCUMENT_BYTES + 1), str(self._path))


def limited(document: bytes, place: str) -> bytes:
    """The document. Raises UnreadableKeysError if it is longer than MAX_DOCUMENT_BYTES."""
    if len(document) > MAX_DOCUMENT_BYTES:
        raise UnreadableKeysError(f"{place} has more than {MAX_DOCUMENT_BYTES} bytes")
    return document
