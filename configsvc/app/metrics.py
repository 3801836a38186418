"""/metrics for Prometheus. docs/reference/metrics.md says what each metric means."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from configsvc.telemetry.families import Families, counter
from configsvc.telemetry.stderr import lost_lines


def new_registry() -> CollectorRegistry:
    """Return a registry for one service, with memory, CPU time and open files of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_LogMetrics())
    return registry


class _LogMetrics:
    def collect(self) -> Families:
        yield counter("log_lines_lost", "Lines that could not be written to standard error.", lost_lines())


@asynccontextmanager
async def served_metrics(registry: CollectorRegistry, host: str, port: int) -> AsyncGenerator[int]:
    """Serve /metrics from a thread, and yield the port. Raises OSError."""
    server, thread = start_http_server(port, host, registry)
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()
