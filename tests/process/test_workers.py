"""Several processes on one port: each serves, one that dies is replaced, and they end together."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import psutil
import pytest
from grpc import StatusCode
from pydantic import SecretStr

from configapi.v1.server_service_pb2 import GetServerStatusRequest
from configsvc.settings import Settings
from configsvc.storage.database import open_database
from configsvc.supervisor import pause_seconds
from tests.process.running import CONFIGSVC, LIMIT_SECONDS, Program, program
from tests.process.test_end import processes_of, wait_until_blocked
from tests.service import Service, connected, reason_of
from tests.watch.changing import commit_one_by_one, create, create_application, patch, watching
from tests.watch.history import read_history
from tests.watch.recording import Recorder, recorded
from tests.watch.validators import resumable, validate

BOTH = {0, 1}


def changed(settings: str) -> tuple[str, ...]:
    """The program with other constants in its supervisor."""
    return (sys.executable, "-c", f"import configsvc.supervisor as it; {settings}; from configsvc.cli import main; main()")


@asynccontextmanager
async def working(
    folder: Path, url: str, *arguments: str, command: tuple[str, ...] = CONFIGSVC
) -> AsyncGenerator[tuple[Program, str]]:
    """Two workers on a port of their own, both ready, and the address."""
    async with program(
        folder, "serve", *arguments, command=command, listen="127.0.0.1:0", database_url=url, workers="2"
    ) as running:
        yield running, (await running.wait_for("ready"))["listen"]


@asynccontextmanager
async def one_of_each(running: Program, address: str) -> AsyncGenerator[dict[int, Service]]:
    """A channel to each of the workers, by its number."""
    services: dict[int, Service] = {}
    async with AsyncExitStack() as channels:
        while services.keys() != BOTH:
            service = await channels.enter_async_context(connected(address, asyncio.Event()))
            services[await worker_behind(running, service)] = service
        yield services


async def worker_behind(running: Program, service: Service) -> int:
    """The number of the worker that answers a channel, which its line in the log tells."""
    before = len(running.events("call"))
    await service.server.GetServerStatus(GetServerStatusRequest())
    await running.wait_for("call", times=before + 1)
    return running.events("call")[before]["worker"]


def pid_of(running: Program, worker: int) -> int:
    """The process that is the worker now."""
    return next(event["pid"] for event in reversed(running.events("worker started")) if event["worker"] == worker)


def workers_of(running: Program) -> list[psutil.Process]:
    return [psutil.Process(pid_of(running, number)) for number in sorted(BOTH)]


def ended(processes: Sequence[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


async def endings(recorders: Sequence[Recorder]) -> list[tuple[StatusCode, str]]:
    errors = [await recorder.until_error() for recorder in recorders]
    return [(error.code(), reason_of(error)) for error in errors]


async def test_the_workers_answer_on_one_port(tmp_path: Path, database_url: str) -> None:
    async with working(tmp_path, database_url) as (running, address), one_of_each(running, address) as services:
        application = await create_application(services[0])
        assert (await services[1].applications.GetApplication(by_name("shop"))) == application
        ready = running.events("ready")
        assert len({process.pid for process in workers_of(running)}) == 2
    assert [event["workers"] for event in ready] == [2]
    assert Counter(event["worker"] for event in running.events("worker ready")) == {0: 1, 1: 1}
