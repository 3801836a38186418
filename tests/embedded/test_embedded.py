import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from configsvc.embedded import EmbeddedPostgresError, embedded_postgres
from configsvc.embedded.account import choose_account
from configsvc.embedded.process import alive, run, running_postmaster
from tests.postgres import PARAMETERS, chosen_binaries

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")


def server(folder: Path, **parameters: str) -> AbstractAsyncContextManager[str]:
    return embedded_postgres(folder, binaries=chosen_binaries(), parameters={**PARAMETERS, **parameters})


def processes(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(folder) in line and process.status() != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def server_pid(folder: Path) -> int:
    postmaster = running_postmaster(folder / "postgres")
    assert postmaster
    return postmaster.process.pid


async def query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, timeout=10, command_timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close(timeout=10)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - processes set no Event
            await asyncio.sleep(0.001)


@contextmanager
def owner(folder: Path, interpreter: str = sys.executable, **options: object) -> Generator[subprocess.Popen[str]]:
    """Run another process that uses the server of a folder; it is up when this context is entered."""
    process = subprocess.Popen(
        [interpreter, "-m", "tests.embedded.owner", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **{"cwd": ROOT, **options},  # type: ignore[call-overload]
    )
    with process:
        try:
            assert process.stdout
            lines = iter(process.stdout.readline, "")
            assert any(line.startswith("postgresql://") for line in lines), "the owner did not start"
            yield process
        finally:
            process.kill()


def leave(process: subprocess.Popen[str]) -> int:
    """Let an owner end by itself."""
    assert process.stdin
    process.stdin.close()
    return process.wait(timeout=30)


@asynccontextmanager
async def stopped_cluster(folder: Path) -> AsyncGenerator[list[str]]:
    """Yield a cluster that ran before, and the lines of its former pid file."""
    async with server(folder):
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    yield lines


async def test_it_yields_the_url_of_a_database_named_configsvc(data_dir: Path) -> None:
    async with server(data_dir) as url:
        assert await query(url, "SELECT current_database() || ' ' || current_user") == "configsvc configsvc"
        assert await query(url, "SHOW server_encoding") == "UTF8"
        assert await query(url, "SHOW listen_addresses") == ""


async def test_it_leaves_no_process(data_dir: Path) -> None:
    async with server(data_dir):
        assert processes(data_dir)
    assert processes(data_dir) == []


async def test_a_failing_user_leaves_no_process(data_dir: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with server(data_dir):
            raise ZeroDivisionError
    assert processes(data_dir) == []


async def test_data_survives_a_restart(data_dir: Path) -> None:
    async with server(data_dir) as url:
        await query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    async with server(data_dir) as url:
        assert await query(url, "SELECT answer FROM kept") == 42


async def test_two_users_share_one_server_and_the_last_one_stops_it(data_dir: Path) -> None:
    async with server(data_dir) as first:
        pid = server_pid(data_dir)
        async with server(data_dir) as second:
            assert second == first
            assert server_pid(data_dir) == pid
        assert await query(first, "SELECT 1") == 1
    assert processes(data_dir) == []


async def test_two_users_that_start_at_once_share_one_server(data_dir: Path) -> None:
    async def use(inside: asyncio.Barrier) -> int:
        async with server(data_dir) as url:
            await query(url, "SELECT 1")
            async with inside:
                return server_pid(data_dir)

    inside = asyncio.Barrier(3)
    pids = await asyncio.gather(*(use(inside) for _ in range(3)))
    assert len(set(pids)) == 1
    assert processes(data_dir) == []


async def test_the_server_outlives_the_process_that_started_it_for_the_others(data_dir: Path) -> None:
    with owner(data_dir) as first, owner(data_dir) as second:
        pid = server_pid(data_dir)
        assert leave(first) == 0
        assert server_pid(data_dir) == pid
        assert leave(second) == 0
    assert processes(data_dir) == []


async def test_after_the_owner_was_killed_the_next_start_joins_and_stops_the_server(data_dir: Path) -> None:
    with owner(data_dir) as process:
        pid = server_pid(data_dir)
        process.kill()
        process.wait(timeout=10)
    assert server_pid(data_dir) == pid
    async with server(data_dir) as url:
        assert server_pid(data_dir) == pid
        assert await query(url, "SELECT 1") == 1
    assert processes(data_dir) == []


async def test_a_killed_server_recovers_at_the_next_start(data_dir: Path) -> None:
    with owner(data_dir) as process:
        process.kill()
        process.wait(timeout=10)
    async with server(data_dir) as url:
        await query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        postmaster = running_postmaster(data_dir / "postgres")
        assert postmaster
        postmaster.process.kill()
        await until(lambda: running_postmaster(data_dir / "postgres") is None)
    async with server(data_dir) as url:
        assert await query(url, "SELECT answer FROM kept") == 42
    assert processes(data_dir) == []


async def test_a_pid_file_whose_number_is_another_programs_is_not_believed(data_dir: Path) -> None:
    async with stopped_cluster(data_dir) as lines:
        account = choose_account(data_dir / "postgres")
        # This process has the server's user, so PostgreSQL itself would take it for a running server.
        command = ["/bin/cat"]
        with subprocess.Popen(account.command(command) if account else command, stdin=subprocess.PIPE) as other:
            await until(lambda: psutil.Process(other.pid).cmdline() == command)
            (data_dir / "postgres" / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:], ""]))
            (data_dir / "socket").mkdir(mode=0o700, exist_ok=True)
            if account:
                account.own(data_dir / "socket")
            (data_dir / "socket" / ".s.PGSQL.5432.lock").write_text("\n".join([str(other.pid), *lines[1:5], ""]))
            async with server(data_dir) as url:
                assert await query(url, "SELECT 1") == 1
            assert other.poll() is None
            other.kill()


@pytest.mark.parametrize("content", ["", "999999999\n", "not a number\n"])
async def test_a_broken_pid_file_is_not_believed(data_dir: Path, content: str) -> None:
    async with stopped_cluster(data_dir):
        (data_dir / "postgres" / "postmaster.pid").write_text(content)
        async with server(data_dir) as url:
            assert await query(url, "SELECT 1") == 1


async def test_a_path_too_long_for_a_socket_works(data_dir: Path) -> None:
    folder = data_dir / ("long " * 30)
    async with server(folder) as url:
        assert await query(url, "SELECT 1") == 1
        postmaster = running_postmaster(folder.resolve() / "postgres")
        assert postmaster
        assert postmaster.socket_folder.parent == Path(tempfile.gettempdir()).resolve()
        assert stat.S_IMODE(postmaster.socket_folder.stat().st_mode) == 0o700
    assert not postmaster.socket_folder.exists()


async def test_a_path_of_odd_characters_works(data_dir: Path) -> None:
    async with server(data_dir / "a 'b', c é%20 &d;e?f=g") as url:
        assert await query(url, "SELECT 1") == 1
    assert processes(data_dir) == []


@pytest.mark.parametrize("character", ['"', "$", "`", "\\", "\n"])
async def test_a_path_that_a_shell_would_read_is_refused(data_dir: Path, character: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match="character"):
        async with server(data_dir / f"a{character}b"):
            pass


@pytest.mark.parametrize(
    "reached", ["postgres.new", "postgres.new/PG_VERSION", "postgres.log", "postgres/postmaster.pid"]
)
async def test_a_cancellation_during_the_start_stops_everything(data_dir: Path, reached: str) -> None:
    async def use() -> None:
        async with server(data_dir):
            await asyncio.get_running_loop().create_future()

    user = asyncio.create_task(use())
    await until((data_dir / reached).exists)
    user.cancel()
    with pytest.raises(asyncio.CancelledError):
        await user
    assert processes(data_dir) == []
    async with server(data_dir) as url:
        assert await query(url, "SELECT 1") == 1


# A child that takes long to die, because the kernel has its memory to free.
WITH_A_LARGE_CHILD = """
import os, pathlib, sys, time
if not os.fork():
    memory = bytearray(os.urandom(1024)) * 400_000
    pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()}\\n")
time.sleep(120)
"""


async def test_a_cancelled_program_has_ended_with_its_children(data_dir: Path) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    ready = data_dir / "ready"
    program = asyncio.create_task(run([sys.executable, "-c", WITH_A_LARGE_CHILD, str(ready)], account=None, limit=60))
    await until(lambda: ready.exists() and ready.read_text().endswith("\n"))
    child = psutil.Process(int(ready.read_text()))
    program.cancel()
    with pytest.raises(asyncio.CancelledError):
        await program
    assert not alive(child)


async def test_the_terminals_interrupt_does_not_reach_the_server(data_dir: Path) -> None:
    with owner(data_dir, start_new_session=True) as process:
        pid = server_pid(data_dir)
        assert os.getsid(pid) != os.getsid(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        # The owner itself takes the interrupt as a cancellation and stops the server, as its last user.
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=30)
    assert processes(data_dir) == []


async def test_data_of_another_major_version_is_refused_with_a_clear_error(data_dir: Path) -> None:
    async with stopped_cluster(data_dir):
        (data_dir / "postgres" / "PG_VERSION").write_text("9\n")
        with pytest.raises(EmbeddedPostgresError, match="is from PostgreSQL 9"):
            async with server(data_dir):
                pass


async def test_a_server_that_does_not_start_shows_the_end_of_its_log(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="invalid value for parameter"):
        async with server(data_dir, shared_buffers="plenty"):
            pass
    assert processes(data_dir) == []


async def test_a_folder_that_holds_something_else_is_refused_and_kept(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "letter").write_text("dear reader")
    with pytest.raises(EmbeddedPostgresError, match="cannot prepare the embedded PostgreSQL"):
        async with server(data_dir):
            pass
    assert [path.name for path in (data_dir / "postgres").iterdir()] == ["letter"]


@as_root
async def test_root_opens_nothing_but_the_way_to_the_data(data_dir: Path) -> None:
    outer = data_dir / "outer"
    outer.mkdir(mode=0o700)
    async with server(outer / "inner"):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (outer, outer / "inner")}
        assert modes == {outer: 0o701, outer / "inner": 0o701}
        for path in (outer / "inner").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def interpreter_for(identity: Mapping[str, object], environment: Mapping[str, str]) -> str | None:
    """Return a Python that another user may run: this one may be in a closed folder."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        try:
            command = [candidate, "-c", "import configsvc.embedded, asyncpg"]
            subprocess.run(command, check=True, capture_output=True, cwd="/", env=environment, **identity)  # type: ignore[call-overload]
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return None


@as_root
async def test_an_ordinary_user_starts_and_stops_it_too() -> None:
    nobody = pwd.getpwnam("nobody")
    identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    # Not data_dir, which is root's.
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    try:
        interpreter = interpreter_for(identity, environment)
        if interpreter is None:
            pytest.skip("no interpreter is open to ordinary users")
        with owner(folder, interpreter, cwd="/", env=environment, **identity) as process:
            assert psutil.Process(server_pid(folder)).uids().real == nobody.pw_uid
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert leave(process) == 0
        assert processes(folder) == []
    finally:
        shutil.rmtree(folder)
