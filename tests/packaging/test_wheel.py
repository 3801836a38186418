"""The wheel carries all that the service needs, so that it runs where there is no checkout."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as `uv build` does it."""
    folder = tmp_path_factory.mktemp("dist")
    uv = Path(sys.executable).with_name("uv")
    build = [uv, "build", "--no-config", "--quiet", "--offline", "--no-build-isolation", "--out-dir", folder]
    subprocess.run([*build, ROOT], check=True, timeout=LIMIT_SECONDS)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_code_sql_migrations_and_the_generated_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = ROOT / "migrations"
    migrations = {f"configsvc/migrations/{path.relative_to(folder)}" for path in folder.rglob("*.sql")}
    queries = {f"configsvc/storage/{path.name}" for path in (ROOT / "configsvc/storage").glob("*.sql")}
    assert {"configsvc/migrations/0001_baseline.sql", "configsvc/migrations/functions/02_commits.sql"} <= migrations
    assert migrations | queries <= names
    assert {"configsvc/py.typed", "configapi/py.typed", "configapi/v1/configuration_pb2.pyi"} <= names
    assert not any(name.startswith(("tests/", "generated/", "demo/")) for name in names)


async def test_the_wheel_serves_without_the_checkout(wheel: Path, tmp_path: Path, database_url: str) -> None:
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    # Entries of PYTHONPATH have no .pth files processed, so the editable install of the checkout stays out of the way.
    paths = os.pathsep.join((str(unpacked), sysconfig.get_path("purelib")))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-S", "-c", "from configsvc.cli.server import main; main()"),
        *("serve", "--listen", "127.0.0.1:0", "--database-url", database_url),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            events = [json.loads(line)["event"] async for line in _until_ready(process.stderr)]
        assert events[-1] == "ready"
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await process.wait() == 0


async def _until_ready(stream: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    async for line in stream:
        yield line
        if b'"ready"' in line:
            return
