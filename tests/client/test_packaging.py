"""The libraries and interpreters that the client works with."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.client.clients import put, run_program
from tests.packaging.test_stubs import INSTALL_LIMIT_SECONDS, OLDEST
from tests.service import Service
from tests.storage.reading import Session

ROOT = Path(__file__).parents[2]
INSTALLED = tuple(f"{name}=={version(name)}" for name in ("grpcio", "protobuf", "googleapis-common-protos"))
# What a new environment has, and what grpcio itself may need.
OTHERS = {"pip", "setuptools", "typing_extensions"}
READS = """
import asyncio, sys
from importlib.metadata import distributions
from configsvc.client import ConfigClient, blocking

async def main():
    async with ConfigClient(sys.argv[1], application="shop") as configs:
        print(configs["limits"])

asyncio.run(main())
with blocking.ConfigClient(sys.argv[1], application="shop") as configs:
    print(configs["limits"])
print(*{one.metadata["Name"] for one in distributions()})
"""


async def check(service: Service, folder: Path, interpreter: str, libraries: Sequence[str]) -> None:
    """Read with both clients, in an environment with these libraries and no others."""
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *libraries]
    installed = await asyncio.to_thread(
        subprocess.run, install, capture_output=True, text=True, timeout=INSTALL_LIMIT_SECONDS, check=False
    )
    if installed.returncode:
        pytest.skip(f"{', '.join(libraries)} cannot be installed here: {installed.stderr.strip()[-200:]}")
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
    *reads, names = (await run_program(READS, service.address, variables=path, python=python)).splitlines()
    assert reads == ["{'n': 1}", "{'n': 1}"]
    assert set(names.split()) - OTHERS == {"googleapis-common-protos", "grpcio", "protobuf"}


@pytest.mark.timeout(2 * INSTALL_LIMIT_SECONDS)
async def test_the_client_needs_three_libraries_and_works_with_the_oldest_that_are_allowed(
    service: Service, psql: Session, tmp_path: Path
) -> None:
    await put(psql, "limits", '{"n": 1}')
    await check(service, tmp_path, sys.executable, OLDEST)


@pytest.mark.timeout(2 * INSTALL_LIMIT_SECONDS)
@pytest.mark.parametrize("name", ["python3.12", "python3.13", "python3.14"])
async def test_the_client_works_with_newer_interpreters(
    name: str, service: Service, psql: Session, tmp_path: Path
) -> None:
    interpreter = shutil.which(name)
    if not interpreter or subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"{name} is not installed")
    await put(psql, "limits", '{"n": 1}')
    await check(service, tmp_path, interpreter, INSTALLED)
