"""What a client is told when it is made."""

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, TypedDict

Token = str | Callable[[], str] | Callable[[], Awaitable[str]]
OnStale = Literal["keep", "warn", "raise"]

# Of the fields of an instance.
_MOST_CHARACTERS = 256
# The usual interval, and the least that the service takes.
_BOOKMARK_SECONDS = (10.0, 0.1)
_SOCKETS = ("unix:", "unix-abstract:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files for TLS, read anew for each connection. Without an authority, those of gRPC are trusted."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


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

    address: str
    application: str
    # Follow only these names, or names that begin with the prefix.
    names: Sequence[str] = ()
    prefix: str = ""
    # A bearer token, or a function that is called for each connection. It must not block; an async one may wait.
    token: Token | None = field(default=None, repr=False)
    # True: TLS with the authorities of gRPC. False: clear text, even for a token to another machine.
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
        if self.token and self.tls is None and not self.is_local:
            raise ValueError(
                "a token would be sent in clear text: set tls=True, tls=Tls(...), or tls=False if that is what you want"
            )

    @property
    def is_local(self) -> bool:
        """True if the address is of this machine."""
        if self.address.startswith(_SOCKETS):
            return True
        addresses = self.address.removeprefix("ipv4:").removeprefix("ipv6:").split(",")
        return all(_is_loopback(address.rpartition(":")[0].strip("[]")) for address in addresses)

    @property
    def bookmark_seconds(self) -> float:
        """The silence after which the service is to give a sign of freshness, three within `stale_after`."""
        most, least = _BOOKMARK_SECONDS
        return most if self.stale_after is None else max(least, min(most, self.stale_after / 3))
