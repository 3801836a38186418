"""Clients of a service in tests, and waiting for what they see."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configsvc.client import Change, ConfigClient
from tests.docs.test_follower import served
from tests.identity.provider import reserved_port
from tests.proxy import Proxy, proxied_address
from tests.service import Service
from tests.storage.reading import Session

LIMIT_SECONDS = 30.0


def client_of(address: str, **options: Any) -> ConfigClient:
    """Return a client of the application shop."""
    return ConfigClient(address, application="shop", **options)


def address_of(service: Service) -> str:
    """Return the address of the door that the stubs of a service use."""
    return service.address or f"http://{service.http_address}"


def addresses_of(service: Service) -> tuple[str, str]:
    """Return the addresses of both doors."""
    return service.address, f"http://{service.http_address}"


@dataclass(frozen=True, slots=True)
class Doors:
    """The doors of services that run one after the other."""

    database_url: str
    rpc: str
    http: str

    def served(self) -> AbstractAsyncContextManager[None]:
        """Run a service."""
        return served(self.database_url, self.rpc, http_listen=self.http)

    @asynccontextmanager
    async def clients(self, **options: Any) -> AsyncGenerator[list[ConfigClient]]:
        """Start a client of each door, and end the service that they started with."""
        async with AsyncExitStack() as stack:
            async with self.served():
                clients = [client_of(address, **options) for address in (self.rpc, f"http://{self.http}")]
                for one in clients:
                    await stack.enter_async_context(one)
            yield clients


@contextmanager
def doors_of(database_url: str, folder: Path) -> Generator[Doors]:
    """Yield doors that nobody else uses."""
    with reserved_port() as port:
        yield Doors(database_url, f"unix:{folder}/socket", f"127.0.0.1:{port}")


@asynccontextmanager
async def proxied(address: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """Yield a network that a test can break, and an address behind it."""
    door = address.removeprefix("http://")
    async with proxied_address(door) as (network, behind):
        yield network, address.replace(door, behind)


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():  # noqa: ASYNC110  # simpler than a condition in the client
            await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, without a loop."""
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


async def put(psql: Session, name: str, config: str) -> None:
    """Create or replace a configuration of the application shop."""
    await psql.execute("INSERT INTO applications (name) VALUES ('shop') ON CONFLICT DO NOTHING")
    await psql.execute(
        """INSERT INTO configurations (application, name, config) VALUES ('shop', $1, $2)
        ON CONFLICT (application, name) DO UPDATE SET config = excluded.config""",
        name,
        config,
    )


async def remove(psql: Session, name: str) -> None:
    await psql.execute("DELETE FROM configurations WHERE name = $1", name)


def shown(change: Change) -> tuple[str, Any, Any]:
    """Return the name and contents of a change."""
    before = change.before.content if change.before else None
    return change.name, before, change.after.content if change.after else None


async def run_program(
    text: str, *arguments: str, variables: dict[str, str] | None = None, python: Path | str = sys.executable
) -> str:
    """Run a program of its own, which must succeed; return its output."""
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", text, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=variables,
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()
