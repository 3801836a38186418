"""A load on one server, and its outcome."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from bench.loads.remote import remote
from bench.peers.processes import Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A number of completed operations, and the seconds that they took together."""

    count: int
    seconds: float

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.count / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Operations that `put` performs on a server for a number of seconds."""

    server: Running
    put: Callable[[float], Awaitable[Done]]

    async def rate(self, seconds: float) -> float:
        """Put the load on the server, and return operations per second."""
        return (await self.put(seconds)).rate

    async def weighed(self, seconds: float) -> tuple[float, float]:
        """Put the load on the server, and return operations per second and its µs of processor time per operation."""
        before = self.server.cpu_seconds()
        done = await self.put(seconds)
        return done.rate, (self.server.cpu_seconds() - before) * 1e6 / done.count


def rates(loads: Mapping[str, Load], seconds: float) -> dict[str, Callable[[], Awaitable[float]]]:
    """Return the loads as measurements of operations per second."""
    return {name: partial(load.rate, seconds) for name, load in loads.items()}


async def generated(stack: AsyncExitStack, server: Running, module: str, *arguments: str, each: int = 1) -> Load:
    """Start a module of `bench.loads` as the load generator of a server. `each`: operations of one call."""
    generator = await stack.enter_async_context(remote(module, server.address, *arguments))

    async def put(seconds: float) -> Done:
        calls, taken = await generator.ask(seconds=seconds)
        return Done(count=calls * each, seconds=taken)

    return Load(server=server, put=put)
