"""What a client is told when it is made."""

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from configsvc.client.addresses import HttpAddress, http_address_of, is_http, is_local

Token = str | Callable[[], str] | Callable[[], Awaitable[str]]
OnStale = Literal["keep", "warn", "raise"]

# Of the fields of an instance.
_MOST_CHARACTERS = 256
# The usual interval, and the least that the service takes.
_BOOKMARK_SECONDS = (10.0, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files for TLS, read anew for each connection. Without an authority, those of gRPC or the system are trusted."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def _instance_id() -> str:
    names = ("CONFIGSVC_INSTANCE", "POD_NAME", "HOSTNAME")
    return next((os.environ[name] for name in names if os.environ.get(name)), "") or socket.gethostname()


def _program() -> str:
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The program that watches, as operators of the service see it."""

    id: str = field(default_factory=_instance_id)
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    program: str = field(default_factory=_program)
    version: str = ""

    def __post_init__(self) -> None:
        # The service refuses longer ones, and a name for people is no reason to fail.
        for name in ("id", "program", "version"):
            object.__setattr__(self, name, getattr(self, name)[:_MOST_CHARACTERS])


class Options(TypedDict, total=False):
    """The options of a client; `Settings` says what they mean."""

    names: Sequence[str]
    prefix: str
    http_address: str
    token: Token | None
    tls: Tls | bool | None
    stale_after: float | None
    on_stale: OnStale
    accept_empty: bool
    disk_folder: Path | None
    identity: str
    instance: Instance
    start_timeout: float
    close_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a client."""

    # host:port and all other addresses of gRPC; with http:// or https://, one of the HTTP door.
    address: str
    application: str
    # Follow only these names, or names that begin with the prefix.
    names: Sequence[str] = ()
    prefix: str = ""
    # The URL of the HTTP door beside an address of gRPC, for forked children, where gRPC does not work.
    http_address: str = ""
    # A bearer token, or a function that is called for each connection. It must not block; an async one may wait.
    token: Token | None = field(default=None, repr=False)
    # True: TLS with the authorities that are usual. False: clear text, even for a token to another machine.
    tls: Tls | bool | None = None
    # Seconds without a sign of freshness after which reads warn (once) or raise.
    stale_after: float | None = None
    on_stale: OnStale = "warn"
    # Accept an empty snapshot where there was data.
    accept_empty: bool = False
    # Keep a copy on disk. Programs with different rights that share the folder need different identities.
    disk_folder: Path | None = None
    identity: str = ""
    instance: Instance = field(default_factory=Instance)
    start_timeout: float = 10.0
    close_timeout: float = 5.0

    def __post_init__(self) -> None:
        if not self.address or not self.application:
            raise ValueError("address and application must not be empty")
        if isinstance(self.names, str):
            raise ValueError("names must be a list of names")  # noqa: TRY004  # as the others
        if self.names and self.prefix:
            raise ValueError("set names or prefix, not both")
        if self.on_stale not in {"keep", "warn", "raise"}:
            raise ValueError('on_stale must be "keep", "warn" or "raise"')
        self._check_addresses()

    def _check_addresses(self) -> None:
        if self.is_over_http and self.http_address:
            raise ValueError("http_address is for an address of gRPC: set one address of the HTTP door")
        if self.http and not self.http.is_secure and self.tls:
            raise ValueError("an address with http:// has no TLS: use https://")
        if self.is_over_http and self.http and self.http.is_secure and self.tls is False:
            raise ValueError("an address with https:// has TLS: use http://, or leave out tls")
        if self.token and self.tls is None and not all(map(_is_safe, filter(None, (self.address, self.http_address)))):
            raise ValueError(
                "a token would be sent in clear text: set tls=True, tls=Tls(...), or tls=False if that is what you want"
            )

    @property
    def http(self) -> HttpAddress | None:
        """The HTTP door, if an address of it is known."""
        url = self.address if self.is_over_http else self.http_address
        return http_address_of(url) if url else None

    @property
    def is_over_http(self) -> bool:
        """True if the client uses HTTP in any process, not gRPC."""
        return is_http(self.address)

    @property
    def is_local(self) -> bool:
        """True if the address is of this machine."""
        return is_local(self.address)

    @property
    def bookmark_seconds(self) -> float:
        """The silence after which the service is to give a sign of freshness, three within `stale_after`."""
        most, least = _BOOKMARK_SECONDS
        return most if self.stale_after is None else max(least, min(most, self.stale_after / 3))


def _is_safe(address: str) -> bool:
    """Return whether a token can go to an address for which nothing is said about TLS."""
    return is_local(address) or (is_http(address) and http_address_of(address).is_secure)
