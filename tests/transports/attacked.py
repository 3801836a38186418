"""A service as a program of its own under attack: it serves others meanwhile, in bounded memory, and keeps nothing."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from configapi.v1.configuration_service_pb2 import GetConfigurationRequest
from tests.api.calls import create, create_application, key
from tests.process.running import serving
from tests.service import LIMIT_SECONDS, POLL_SECONDS, Service
from tests.transports.transports import on

# What an attack may cost: less than any of them sends, or asks for.
MOST_BYTES = 64 * 2**20
LARGE = "x" * 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """A service, and its process."""

    service: Service
    process: psutil.Process

    @property
    def address(self) -> str:
        return self.service.address

    @property
    def connections(self) -> int:
        """The number of connections that the process has on the service's port."""
        return open_connections(self.process, self.address)

    async def probe(self) -> None:
        """Make a call as others do."""
        request = GetConfigurationRequest(key=key("web"))
        await self.service.configurations.GetConfiguration(request, timeout=LIMIT_SECONDS)

    async def survives(self, attack: Awaitable[None], *, most: int = MOST_BYTES) -> None:
        """Check that the service answers others during an attack, in bounded memory, and keeps nothing of it."""
        others = self.connections
        before = peak = self.process.memory_info().rss
        attacking = asyncio.ensure_future(attack)
        try:
            while not attacking.done():
                await self.probe()
                peak = max(peak, self.process.memory_info().rss)
                await asyncio.wait((attacking,), timeout=POLL_SECONDS)
        finally:
            attacking.cancel()
        await attacking
        await self.probe()
        assert peak - before <= most, f"{(peak - before) / 2**20:.0f} MiB"
        await until(lambda: self.connections <= others)


def open_connections(process: psutil.Process, address: str) -> int:
    """Return the number of connections that a process has accepted on a port."""
    port = int(address.rpartition(":")[2])
    found = process.net_connections("tcp")
    return sum(one.laddr.port == port and one.status != psutil.CONN_LISTEN for one in found)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that can only be asked."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def attacked_service(folder: Path, database_url: str, transport: str) -> AsyncGenerator[Attacked]:
    """Run a service with a small and a large configuration, which it has read before."""
    async with serving(folder, database_url, **on(transport)) as (running, service):
        await create_application(service)
        await create(service, "web", {"a": 1})
        await create(service, "large", {"text": LARGE})
        process = psutil.Process(running.process.pid)
        attacked = Attacked(service=service, process=process)
        await attacked.probe()
        yield attacked
