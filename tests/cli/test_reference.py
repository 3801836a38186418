"""The documents of the command line agree with it."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from configsvc.cli.failures import ADVICE, MISSING, UNEXPECTED, UNEXPLAINED
from tests.cli.running import Cli
from tests.process.running import CONFIGSVC, LIMIT_SECONDS
from tests.service import Service

PROJECT = Path(__file__).parents[2]
# Commands outside of groups.
SINGLE = {"whoami", "completion", "exec", "render", "open"}


def test_the_reference_of_the_command_line_is_fresh() -> None:
    script = PROJECT / "scripts" / "command_line_reference.py"
    checked = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=50, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_command_and_option_of_the_guide_exists() -> None:
    reference = (PROJECT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    guide = (PROJECT / "docs/guide/command-line.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"^#{2,3} configsvc (.+)$", reference, re.MULTILINE))
    shell = "\n".join(re.findall(r"^```sh\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL))
    used = re.findall(r"configsvc ([a-z]+(?: [a-z]+)?)", shell)
    assert used
    assert [one for one in used if one not in commands and one.split()[0] not in SINGLE] == []
    options = set(re.findall(r"--[a-z-]+", guide))
    assert options - set(re.findall(r"--[a-z-]+", reference)) == set()


async def test_the_first_commands_of_the_guide_work_as_they_stand(service: Service, tmp_path: Path) -> None:
    guide = (PROJECT / "docs/guide/command-line.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)[0].splitlines()
    program = "\n".join(command for command in commands if " watch " not in command)
    cli = Cli(tmp_path, {"CONFIGSVC_SERVER": service.address})
    environment = cli.environment()
    path = f"{Path(CONFIGSVC[0]).parent}:{environment['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-ec", program), env={**environment, "PATH": path}, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert '"rate": 250' in out.decode()
    assert "more load" in out.decode()


def test_help_imports_nothing_heavy() -> None:
    listed = (
        "import sys; sys.argv = ['configsvc', '--help']\n"
        "from configsvc.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print('\\n', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, timeout=50, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    heavy = {
        "grpc",
        "google.protobuf",
        "configapi",
        "rich",
        "ruamel.yaml",
        "urllib.request",
        "asyncio",
        "httpx",
        "yaml",
    }
    assert "typer" in modules
    assert {name for name in modules if any(name == one or name.startswith(f"{one}.") for one in heavy)} == set()
    ours = {name for name in modules if name.startswith("configsvc")}
    assert len(ours) <= 12, ours
    assert len(modules) <= 300, len(modules)


def test_hints_name_commands_that_exist() -> None:
    reference = (PROJECT / "docs/reference/command-line.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"^#{2,3} configsvc (.+)$", reference, re.MULTILINE))
    groups = {command.split()[0] for command in commands}
    hints = [advice.hint for advice in (*ADVICE.values(), *UNEXPLAINED.values(), UNEXPECTED)]
    hints += MISSING.values()
    named = [found for hint in hints for found in re.findall(r"`(?:configsvc )?([a-z]+(?: [a-z]+)?)", hint)]
    assert len(named) > 20
    leaves = {command.split()[-1] for command in commands}
    assert [one for one in named if one not in commands and one.split()[0] not in groups | leaves] == []
    options = {option for hint in hints for option in re.findall(r"--[a-z-]+", hint)}
    assert options - set(re.findall(r"--[a-z-]+", reference)) == set()
