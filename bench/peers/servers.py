"""The servers to measure: the service, the bare handler, etcd, Redis."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from bench.peers.processes import Running, free_address, running
from bench.peers.programs import program

SERVING_LIMIT_SECONDS = 30.0


@asynccontextmanager
async def service(
    configsvc: Path,
    database_url: str,
    folder: Path,
    *flags: str,
    log_level: str = "warning",
    environment: Mapping[str, str] | None = None,
    address: str | None = None,
) -> AsyncGenerator[Running]:
    """Start `configsvc serve` with additional variables, and yield it once its health is SERVING."""
    address = address or free_address()
    command = [str(configsvc), "serve", "--listen", address]
    options = ["--database-url", database_url, "--log-level", log_level, "--log-format", "json", *flags]
    log = folder / f"service-{address}.log"
    # Not in this project, whose code a program of another build could find first.
    async with running([*command, *options], address, log, environment=environment, directory=folder) as server:
        await _serving(address)
        yield server


async def _serving(address: str) -> None:
    async with asyncio.timeout(SERVING_LIMIT_SECONDS), grpc.aio.insecure_channel(address) as channel:
        # The package of the stub has no types.
        health: Any = HealthStub(channel)
        async for response in health.Watch(HealthCheckRequest()):
            if response.status == HealthCheckResponse.SERVING:
                return


@asynccontextmanager
async def bare(answer: bytes, folder: Path) -> AsyncGenerator[Running]:
    """Start `bench.peers.bare`, which answers with the bytes."""
    address = free_address()
    file = folder / f"answer-{address}.bin"
    file.write_bytes(answer)
    command = [sys.executable, "-m", "bench.peers.bare", address, str(file)]
    async with running(command, address, folder / f"bare-{address}.log") as server:
        yield server


@asynccontextmanager
async def bare_web(answer: bytes, folder: Path) -> AsyncGenerator[Running]:
    """Start `bench.peers.bare_web`, which answers with the bytes."""
    address = free_address()
    file = folder / f"answer-{address}.bin"
    file.write_bytes(answer)
    command = [sys.executable, "-m", "bench.peers.bare_web", address, str(file)]
    async with running(command, address, folder / f"bare-web-{address}.log") as server:
        yield server


@asynccontextmanager
async def etcd(folder: Path) -> AsyncGenerator[Running]:
    """Start one etcd node with its default durability."""
    address, peer_url = free_address(), f"http://{free_address()}"
    url = f"http://{address}"
    command = [
        program("etcd"),
        "--data-dir",
        str(folder / f"etcd-{address}"),
        "--logger",
        "zap",
        "--log-level",
        "error",
    ]
    urls = ["--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peer_url]
    cluster = ["--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}"]
    async with running([*command, *urls, *cluster], address, folder / f"etcd-{address}.log") as server:
        yield server


@asynccontextmanager
async def redis(folder: Path) -> AsyncGenerator[Running]:
    """Start one Redis that stores nothing on disk."""
    address = free_address()
    host, _, port = address.rpartition(":")
    command = [program("redis-server"), "--bind", host, "--port", port]
    storage = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    async with running([*command, *storage], address, folder / f"redis-{address}.log") as server:
        yield server
