"""Completion in a real shell, with names from the service."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.cli.running import Cli
from tests.process.running import CONFIGSVC, LIMIT_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def completed(cli: Cli, line: str) -> list[str]:
    """Return what bash offers at the end of a line."""
    program = f"""
        source <(configsvc completion bash)
        COMP_LINE='{line}'; COMP_WORDS=($COMP_LINE); [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        compopt() {{ :; }}
        _configsvc_completion configsvc
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    folder = str(Path(CONFIGSVC[0]).parent)
    environment = cli.environment()
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", program),
        cwd=cli.folder,
        env={**environment, "PATH": f"{folder}:{environment['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        out, err = await process.communicate()
    assert err == b""
    return out.decode().split()


async def test_commands_options_and_names_are_completed(cli: Cli, application: str) -> None:
    assert shutil.which("bash")
    assert "config" in await completed(cli, "configsvc co")
    assert {"rollback"} == set(await completed(cli, "configsvc config rol"))
    assert "--detailed-exitcode" in await completed(cli, "configsvc config diff --det")
    name = application[:30]
    await cli.ok("app", "create", name)
    await cli.ok("schema", "create", name, "-f", "-", stdin="{}")
    for key in ("eu/web", "eu/api", "us"):
        await cli.ok("config", "create", f"{name}/{key}", "-f", "-", stdin="{}")
    assert await completed(cli, f"configsvc config get {name[:10]}") == [f"{name}/"]
    assert await completed(cli, f"configsvc config get {name}/eu/") == [f"{name}/eu/api", f"{name}/eu/web"]
    assert await completed(cli, f"configsvc schema get {name[:10]}") == [name]
    assert await completed(cli, f"configsvc app delete {name[:10]}") == [name]
    assert await completed(cli, f"configsvc exec --config {name}/u") == [f"{name}/us"]
    assert await completed(cli, "configsvc exec --on-change si") == ["signal"]
    assert await completed(cli, f"configsvc open config {name}/u") == [f"{name}/us"]
    assert await completed(cli, f"configsvc open app {name[:10]}") == [name]
    await cli.ok("context", "set", "prod", "--server", "x:1")
    assert await completed(cli, "configsvc context use p") == ["prod"]


async def test_completion_is_silent_when_the_service_is_away(cli: Cli) -> None:
    away = Cli(cli.folder, {"CONFIGSVC_SERVER": "127.0.0.1:1"})
    assert await completed(away, "configsvc config get x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_there_is_a_script_for_each_shell(cli: Cli, shell: str) -> None:
    assert "configsvc" in (await cli.ok("completion", shell)).out
