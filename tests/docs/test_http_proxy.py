"""Clients of a service on this machine do not ask the proxy that http_proxy names."""

import sys
from pathlib import Path

import pytest

from demo.files import SHIPPED
from tests.demo.test_demo import demo
from tests.docs.test_guide import block, grpcurl_commands, line_with, output_of, process, take_first_steps
from tests.service import Service

# Nobody listens there.
PROXY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that gRPC's clients read."""
    for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, PROXY)


async def test_the_demo_reaches_a_service_on_this_machine_without_the_proxy(service: Service) -> None:
    code, _, errors = await demo("--address", service.address, "--folder", str(SHIPPED))
    assert (code, errors) == (0, "")


async def test_the_commands_of_the_readme_reach_a_service_on_this_machine_without_the_proxy(service: Service) -> None:
    assert '"name": "shop"' in await output_of(grpcurl_commands(service)[0])


async def test_the_client_of_the_guide_reaches_a_service_on_this_machine_without_the_proxy(
    service: Service, tmp_path: Path
) -> None:
    await take_first_steps(service)
    program = tmp_path / "follow.py"
    program.write_text(block("docs/guide/watch.md", "python").replace("localhost:50051", service.address))
    async with process(sys.executable, str(program)) as following:
        await line_with("web", following)
