"""Errors of the command line: exit codes, hints, retries and interruptions."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from configapi.v1.audit_service_pb2 import ListChangesRequest
from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.cli.failures import ADVICE, ExitCode
from configsvc.cli.main import app
from tests.cli.running import Cli
from tests.process.running import CONFIGSVC
from tests.service import running_service

LIMIT_SECONDS = 45.0
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "command-line.md"


def test_every_reason_has_an_exit_code_and_a_hint() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]}
    assert set(ADVICE) == reasons
    for advice in ADVICE.values():
        assert advice.hint.endswith(".")
        assert advice.code not in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERRUPTED, ExitCode.BROKEN_PIPE}


def test_every_exit_code_is_documented() -> None:
    rows = re.findall(r"^\| (\d+) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(row) for row in rows] == [code.value for code in ExitCode]


@pytest.mark.parametrize(("system", "shown"), [("Darwin", "macOS"), ("Windows", "Windows"), ("FreeBSD", "FreeBSD")])
def test_exec_says_in_one_line_that_it_works_on_linux_only(
    system: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    # Elsewhere its import fails: the module signal lacks names.
    monkeypatch.setitem(sys.modules, "configsvc.cli.executing", None)
    done = CliRunner().invoke(app, ["exec", "--config", "shop/web", "--", "true"])
    error, hint = done.stderr.splitlines()
    assert (done.exit_code, error) == (1, f"error: exec works on Linux only, and this is {shown}")
    assert hint.startswith("hint: `configsvc config get")


async def test_a_service_that_is_away_is_unavailable_after_a_few_attempts(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        done = await Cli(tmp_path)("status", "--server", f"127.0.0.1:{port}")
    assert (done.code, done.out) == (6, "")
    again, error, hint = done.err.splitlines()
    assert again == f"127.0.0.1:{port} does not respond: Connection refused; trying again"
    assert error == f"error: 127.0.0.1:{port} does not respond: Connection refused"
    assert hint.startswith("hint: Is the service running there?")


async def test_a_write_is_repeated_safely_when_its_connection_breaks(tmp_path: Path, database_url: str) -> None:
    async with running_service(database_url) as service, breaking_once(service.address) as address:
        done = await Cli(tmp_path, {"CONFIGSVC_SERVER": address}).ok("app", "create", "shop")
        again, created = done.err.splitlines()
        assert again.endswith("trying again")
        assert created == "created shop (revision 1)"
        assert len((await service.audit.ListChanges(ListChangesRequest())).changes) == 1


@asynccontextmanager
async def breaking_once(address: str) -> AsyncGenerator[str]:
    """Yield the address of a proxy that breaks the first connection when the service has answered the first write."""
    broken = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal broken
        host, port = address.rsplit(":", 1)
        service_reader, service_writer = await asyncio.open_connection(host, int(port))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pump(reader, service_writer))
            while data := await service_reader.read(65536):
                # The answer has the name of the application.
                if b"shop" in data and not broken:
                    broken = True
                    break
                writer.write(data)
            writer.close()
            service_writer.close()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


TOO_LARGE = "99999999999999999999"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("config", "get", "a/b", "--at", TOO_LARGE), 2),
        (("config", "get", "a/b", "--at", "0001-01-01T00:00:00+14:00"), 2),
        (("config", "get", "a/b", "--version", TOO_LARGE), 2),
        (("config", "rollback", "a/b", TOO_LARGE), 2),
        (("config", "list", "--schema", f"a@{TOO_LARGE}"), 2),
        (("config", "set", "a/b", "/x", f"1e{TOO_LARGE}"), 7),
        (("config", "list", "--contains", '{"x": "\\ud83d"}'), 7),
        (("config", "get", "a/\udcff"), 7),
        (("status", "--server", "https://localhost:abc"), 2),
    ],
)
async def test_what_a_user_wrote_is_no_fault_of_the_program(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    refused = await Cli(tmp_path, {"CONFIGSVC_SERVER": "127.0.0.1:1"})(*arguments)
    assert refused.code == code
    assert "fault of this program" not in refused.err


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("context list -o json >/dev/full", 1, "error: cannot read or write standard output: No space left on device"),
        ("context list >&-", 0, "nothing found"),
        ("context get nope 2>&-", 3, ""),
        ("context get nope 2>/dev/full", 3, ""),
        ("config apply a/b -f - <&-", 7, "error: - is empty"),
        ("version >&- 2>&- <&-", 0, ""),
    ],
)
async def test_streams_that_are_closed_or_full_are_no_fault_of_the_program(
    tmp_path: Path, command: str, code: int, said: str
) -> None:
    cli = Cli(tmp_path, {"CONFIGSVC_SERVER": "127.0.0.1:1"})
    shell = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"exec {CONFIGSVC[0]} {command}"), env=cli.environment(), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        _, err = await shell.communicate()
    assert shell.returncode == code
    assert (err.decode().splitlines() or [""])[0] == said


async def test_the_time_limit_is_kept_where_nothing_answers(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        done = await Cli(tmp_path)("status", "--server", f"127.0.0.1:{port}", "--timeout", "500ms")
    assert done.code == 6
    assert done.err.startswith("error: ")


@pytest.mark.parametrize("number", [signal.SIGINT])
async def test_ctrl_c_ends_a_command_with_130_and_without_a_traceback(
    tmp_path: Path, database_url: str, number: signal.Signals
) -> None:
    async with running_service(database_url) as service:
        cli = Cli(tmp_path, {"CONFIGSVC_SERVER": service.address})
        async with cli.running("config", "watch") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            async with asyncio.timeout(LIMIT_SECONDS):
                assert b"TIME" in await process.stdout.readline()
                process.send_signal(number)
                assert (await process.stderr.read(), await process.wait()) == (b"", 130)


async def test_a_closed_pipe_ends_a_command_in_silence(tmp_path: Path, database_url: str) -> None:
    async with running_service(database_url) as service:
        cli = Cli(tmp_path, {"CONFIGSVC_SERVER": service.address})
        async with cli.running("config", "watch", "-o", "json") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout._transport.close()  # pyright: ignore[reportAttributeAccessIssue]
            await cli.ok("app", "create", "shop")
            await cli.ok("config", "create", "shop/web", "-f", "-", stdin="{}")
            async with asyncio.timeout(LIMIT_SECONDS):
                assert (await process.stderr.read(), await process.wait()) == (b"", 141)
