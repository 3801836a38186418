"""Variables that set nothing: empty ones, unknown ones, and those of others."""

import re
from pathlib import Path
from typing import Any

import pytest

from configsvc.process.settings import Settings
from configsvc.process.variables import CLIENT, TOOLS
from tests.process.running import Program, program

PROJECT = Path(__file__).parents[2]
# The start ends there, after the settings were read.
REFUSED = "0.0.0.0:0"
KUBERNETES = {
    "PORT": "tcp://10.96.0.7:50051",
    "SERVICE_HOST": "10.96.0.7",
    "SERVICE_PORT": "50051",
    "SERVICE_PORT_GRPC": "50051",
    "PORT_50051_TCP": "tcp://10.96.0.7:50051",
    "PORT_50051_TCP_PROTO": "tcp",
    "PORT_50051_TCP_PORT": "50051",
    "PORT_50051_TCP_ADDR": "10.96.0.7",
    "HEADLESS_SERVICE_HOST": "10.96.0.8",
    "HEADLESS_SERVICE_PORT_METRICS": "9464",
    "HEADLESS_PORT": "udp://10.96.0.8:9464",
    "HEADLESS_PORT_9464_UDP_ADDR": "10.96.0.8",
}


EMPTY = "empty variable: treated as unset"
UNKNOWN = "unknown variable: ignored"


async def warned(folder: Path, **variables: Any) -> dict[str, list[dict[str, str]]]:
    """Return the warnings about variables of a start that then refuses its address, by event."""
    async with program(folder, "serve", "--listen", REFUSED, **variables) as running:
        assert await running.exit_code() == 1
    assert "--insecure" in running.lines[-1]
    return {event: shown(running, event) for event in (EMPTY, UNKNOWN)}


def shown(running: Program, event: str) -> list[dict[str, str]]:
    entries = running.events(event)
    assert all(entry["level"] == "warning" for entry in entries)
    names = ("variable", "source", "did_you_mean")
    return [{name: entry[name] for name in names if name in entry} for entry in entries]


async def test_each_setting_whose_variable_is_empty_has_its_default_and_one_warning(tmp_path: Path) -> None:
    names = Settings.model_fields.keys()
    found = await warned(tmp_path, **dict.fromkeys(names, ""))
    expected = [{"variable": f"CONFIGSVC_{name.upper()}", "source": "environment"} for name in names]
    assert sorted(map(str, found[EMPTY])) == sorted(map(str, expected))
    assert not found[UNKNOWN]


async def test_an_empty_line_of_the_file_counts_as_unset_and_a_blank_variable_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CONFIGSVC_WORKERS=\nCONFIGSVC_AUTH=''\nCONFIGSVC_HISTORY_DAYS=2\nOTHERS=\n")
    found = await warned(tmp_path, history_days=" ")
    assert found[EMPTY] == [
        {"variable": "CONFIGSVC_HISTORY_DAYS", "source": "environment"},
        {"variable": "CONFIGSVC_WORKERS", "source": ".env"},
        {"variable": "CONFIGSVC_AUTH", "source": ".env"},
    ]


async def test_a_line_of_the_file_decides_if_the_variable_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CONFIGSVC_HISTORY_DAYS=0.5\n")
    async with program(tmp_path, "serve", history_days="") as running:
        assert await running.exit_code() == 2
    assert "configsvc: setting history_days" in running.text


async def test_an_unknown_variable_is_named_with_the_one_that_was_probably_meant(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CONFIGSVC_LISSTEN=127.0.0.1:1\nOTHERS_PORT=1\n")
    found = await warned(tmp_path, loglevel="debug", something="1", port="50051", empty="")
    assert found[UNKNOWN] == [
        {"variable": "CONFIGSVC_LOGLEVEL", "source": "environment", "did_you_mean": "CONFIGSVC_LOG_LEVEL"},
        {"variable": "CONFIGSVC_SOMETHING", "source": "environment"},
        {"variable": "CONFIGSVC_PORT", "source": "environment"},
        {"variable": "CONFIGSVC_EMPTY", "source": "environment"},
        {"variable": "CONFIGSVC_LISSTEN", "source": ".env", "did_you_mean": "CONFIGSVC_LISTEN"},
    ]


async def test_what_kubernetes_the_client_and_the_tools_of_this_project_set_is_not_warned_about(tmp_path: Path) -> None:
    tools = {name.removeprefix("CONFIGSVC_"): "1" for name in TOOLS | CLIENT}
    found = await warned(tmp_path, **KUBERNETES, **tools)
    assert not any(found.values())


def test_the_tools_of_this_project_read_these_variables() -> None:
    read: set[str] = set()
    for folder in ("tests", "bench", "demo", "scripts"):
        for file in (PROJECT / folder).rglob("*.py"):
            read |= set(re.findall(r"environ[^\n]*?\"(CONFIGSVC_[A-Z_]+)\"", file.read_text(encoding="utf-8")))
    settings = {f"CONFIGSVC_{name.upper()}" for name in Settings.model_fields}
    assert read - settings - CLIENT == TOOLS


def test_the_client_commands_read_these_variables() -> None:
    read: set[str] = set()
    for file in (PROJECT / "configsvc" / "cli").glob("*.py"):
        read |= set(re.findall(r"environ[^\n]*?\"(CONFIGSVC_[A-Z_]+)\"", file.read_text(encoding="utf-8")))
    # The rule of the client library names the instance.
    library = (PROJECT / "configsvc" / "client" / "settings.py").read_text(encoding="utf-8")
    read |= set(re.findall(r"\"(CONFIGSVC_[A-Z_]+)\"", library))
    assert read == CLIENT


@pytest.mark.parametrize("flag", ["--database-url", "--data-dir", "--listen", "--log-level", "--metrics-listen"])
async def test_an_empty_flag_is_refused(tmp_path: Path, flag: str) -> None:
    async with program(tmp_path, "serve", flag, "") as running:
        assert await running.exit_code() == 2
    assert running.lines == [f"configsvc: {flag} is empty: give it a value, or leave it out"]
    assert not list(tmp_path.iterdir())
