"""The commands of operations that still run."""

import asyncio
from pathlib import Path

from tests.cli.running import Cli
from tests.cli.test_transfers import items
from tests.operations.conftest import slow as slow  # noqa: PLC0414  # a fixture
from tests.service import Service


async def test_an_operation_that_runs_is_cancelled(service: Service, slow: asyncio.Event, tmp_path: Path) -> None:
    cli = Cli(tmp_path, {"CONFIGSVC_SERVER": service.address})
    cli.write("items.json", items("shop", {}))
    identifier = (await cli.ok("config", "import", "-f", "items.json", "--create-applications")).out.strip()
    assert (await cli.ok("operation", "cancel", identifier)).err == f"asked {identifier} to end\n"
    waited = await cli("operation", "wait", identifier)
    assert waited.code == 1
    assert "cancelled" in waited.err.lower()
    found = (await cli.ok("operation", "get", identifier, "-o", "json")).json
    assert found["metadata"]["state"] == "STATE_CANCELLED"
    assert not slow.is_set()
