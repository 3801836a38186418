"""A service with metrics, read as Prometheus reads them."""

import asyncio
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.service import Service, running_service

LIMIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The metrics of one running service."""

    address: str

    async def families(self) -> dict[str, Metric]:
        """Return all metric families by name."""
        text = await asyncio.to_thread(self._read)
        return {family.name: family for family in text_string_to_metric_families(text)}

    def _read(self) -> str:
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as answer:
            return answer.read().decode()

    async def value(self, name: str, **labels: str) -> float:
        """Return the value of one sample; 0 if it is missing."""
        for family in (await self.families()).values():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return 0

    async def until(self, name: str, value: float, **labels: str) -> None:
        """Wait until the sample has the value."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while await self.value(name, **labels) != value:  # noqa: ASYNC110  # it can only be asked
                await asyncio.sleep(0.01)


@asynccontextmanager
async def measured_service(database_url: str, **settings: Any) -> AsyncGenerator[tuple[Service, Metrics]]:
    """Run a service that answers on /metrics, at a port that the system picks."""
    with capture_logs() as lines:
        async with running_service(database_url, metrics_listen="127.0.0.1:0", **settings) as service:
            (address,) = [line["listen"] for line in lines if line["event"] == "serving metrics"]
            yield service, Metrics(address=address)
