"""The gRPC servers that a service can have, and which clients each of their addresses asks for a certificate."""

from collections.abc import Awaitable, Callable, Generator
from typing import Protocol

from configsvc.api.draining import Drain
from configsvc.api.health import Health
from configsvc.process.settings import Settings


class GrpcServer(Protocol):
    """A gRPC server bound to its addresses, whatever its transport."""

    @property
    def health(self) -> Health:
        """The health that it reports."""
        ...

    @property
    def drain(self) -> Drain:
        """The calls that arrive too late."""
        ...

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of its addresses."""
        ...

    @property
    def port(self) -> int:
        """The port of the first address."""
        ...

    async def start(self) -> None:
        """Start, with health NOT_SERVING."""
        ...

    async def run(self) -> None:
        """Look after the connections until cancelled."""
        ...

    async def stop(self, grace_seconds: float, end_watches: Callable[[], Awaitable[None]]) -> None:
        """Refuse new calls; return when the calls in flight are answered or, after the grace period, cancelled."""
        ...

    async def cut(self) -> None:
        """End at once: cancel the calls in flight, if any are left."""
        ...


def addresses(settings: Settings) -> Generator[tuple[str, bool]]:
    """Yield the addresses to listen on. Each asks either all its clients for a certificate or none of them."""
    yield settings.listen, settings.ways == frozenset(("mtls",))
    if settings.mtls_listen is not None:
        yield settings.mtls_listen, True
