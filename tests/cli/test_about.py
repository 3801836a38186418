"""The command status, against a service that runs."""

import pytest

from configapi.v1.server_service_pb2 import GetServerStatusRequest
from tests.cli.running import Cli
from tests.cli.test_configurations import prepared
from tests.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_status_shows_the_server_its_version_and_what_it_has_delivered(
    cli: Cli, shared_service: Service, application: str
) -> None:
    await prepared(cli, application)
    expected = await shared_service.server.GetServerStatus(GetServerStatusRequest())
    shown = dict(line.split(": ", 1) for line in (await cli.ok("status")).out.splitlines())
    shown = {name: value.strip() for name, value in shown.items()}
    assert (shown["server"], shown["version"], shown["live"]) == (shared_service.address, expected.version, "yes")
    assert (shown["head revision"], shown["epoch"]) == (str(expected.head_revision), expected.epoch)
    assert (await cli.ok("status", "-o", "name")).out == f"{shared_service.address}\n"
    found = (await cli.ok("status", "-o", "json")).json
    assert (found["server"], found["epoch"]) == (shared_service.address, expected.epoch)
