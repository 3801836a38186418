"""Signals that were ignored when the program started."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tests.api.calls import create_application
from tests.process.running import CONFIGSVC, program
from tests.service import connected


@pytest.mark.parametrize("workers", [1, 2])
async def test_signals_that_were_ignored_at_the_start_stay_ignored_in_each_process(
    tmp_path: Path, database_url: str, workers: int
) -> None:
    command = ("sh", "-c", """trap '' HUP INT; exec "$0" "$@" """, *CONFIGSVC)
    settings = {"listen": "127.0.0.1:0", "database_url": database_url, "workers": str(workers)}
    async with program(tmp_path, "serve", command=command, **settings) as running:
        ready = await running.wait_for("ready")
        process = psutil.Process(running.process.pid)
        pids = [process.pid] if workers == 1 else [event["pid"] for event in running.events("worker ready")]
        for pid in {process.pid, *pids}:
            for number in (signal.SIGHUP, signal.SIGINT):
                psutil.Process(pid).send_signal(number)
        async with connected(ready["listen"], asyncio.Event()) as service:
            await create_application(service)
            assert (await service.health.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING
        assert "stopping" not in running.text
        assert "worker ended" not in running.text
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
