"""The commands: help, version, and the server behind them."""

import re
import subprocess
import sys

from configsvc.process.settings import Settings
from tests.process.running import output


async def test_help_names_the_commands() -> None:
    code, text = await output("--help")
    assert code == 0
    for command in ("serve", "migrate", "version"):
        assert command in text
    assert "worker" not in text


async def test_help_of_serve_names_each_flag_with_its_variable() -> None:
    code, text = await output("serve", "--help")
    assert code == 0
    shown = re.findall(r"--([a-z-]+)[ \n].*?\[env:\s+CONFIGSVC_([A-Z_]+)\]", text, re.DOTALL)
    assert {"listen", "database-url", "workers", "insecure", "shutdown-grace-seconds"} <= {flag for flag, _ in shown}
    for flag, variable in shown:
        assert variable == flag.removeprefix("no-").replace("-", "_").upper()
        assert variable.lower() in Settings.model_fields


async def test_the_version_is_printed() -> None:
    code, text = await output("version")
    assert (code, text.count(".")) == (0, 2)


def test_the_entry_point_imports_nothing_of_the_server() -> None:
    listed = "import sys, configsvc.cli.main; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, timeout=30, check=True)
    modules = imported.stdout.split()
    ours = {name for name in modules if name.startswith("configsvc.")}
    assert {name.split(".")[1] for name in ours} == {"cli"}
    assert "configsvc.cli.server" not in ours
    assert not {"grpc", "asyncpg", "uvloop", "pydantic_settings", "structlog"} & set(modules)
