"""Unix sockets: one service for each path, and one line that says why a path cannot be used."""

import asyncio
import os
import signal
import socket
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path

import pytest

from configsvc.process.sockets import MAX_PATH_BYTES, unix_socket
from configsvc.process.startup import StartError
from tests.api.calls import head
from tests.process.running import Program, program
from tests.service import connected


def serving_at(folder: Path, path: Path, database_url: str) -> AbstractAsyncContextManager[Program]:
    return program(folder, "serve", listen=f"unix:{path}", database_url=database_url)


async def check_that_it_serves(path: Path) -> None:
    async with connected(f"unix:{path}", asyncio.Event()) as service:
        await head(service)


async def test_a_second_service_on_a_socket_is_refused_and_takes_nothing(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "socket"
    async with serving_at(tmp_path, path, database_url) as first:
        await first.wait_for("ready")
        async with serving_at(tmp_path, path, database_url) as second:
            assert await second.exit_code() == 1
        assert second.lines[-1] == (
            f"configsvc: cannot listen on unix:{path}: another service uses it: stop that one, or use another path"
        )
        assert "Traceback" not in second.text
        await check_that_it_serves(path)
        first.signal(signal.SIGTERM)
        assert await first.exit_code() == 0
    assert list(tmp_path.iterdir()) == []


async def test_a_socket_that_a_killed_service_left_behind_is_taken_over(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "socket"
    async with serving_at(tmp_path, path, database_url) as killed:
        await killed.wait_for("ready")
        killed.signal(signal.SIGKILL)
        assert await killed.exit_code() == -signal.SIGKILL
    assert path.is_socket()
    async with serving_at(tmp_path, path, database_url) as running:
        await running.wait_for("ready")
        await check_that_it_serves(path)
    assert list(tmp_path.iterdir()) == []


async def test_a_service_leaves_a_socket_that_replaced_its_own(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "socket"
    async with serving_at(tmp_path, path, database_url) as running:
        await running.wait_for("ready")
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            running.signal(signal.SIGTERM)
            assert await running.exit_code() == 0
            assert path.is_socket()


async def test_a_socket_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with ExitStack() as opened:
        other = opened.enter_context(socket.socket(socket.AF_UNIX))
        other.bind(str(path))
        other.listen(0)
        for _ in range(3):
            check_that_it_is_refused(f"unix:{path}", "another program listens on it")
            # Its queue gets full.
            waiting = opened.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            waiting.connect_ex(str(path))
        assert path.is_socket()
        assert not path.with_name("socket.lock").exists()


def check_that_it_is_refused(listen: str, reason: str) -> None:
    with pytest.raises(StartError) as caught, unix_socket(listen):
        pass
    assert str(caught.value).startswith(f"cannot listen on {listen}: {reason}")
    assert "\n" not in str(caught.value)


def test_a_path_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    long = tmp_path / ("x" * (MAX_PATH_BYTES - len(os.fsencode(tmp_path))))
    for path, reason in (
        (tmp_path / "missing" / "socket", f"the folder {tmp_path}/missing does not exist: create it"),
        (file, "it exists and is not a socket"),
        (tmp_path, "it is a folder"),
        (file / "socket", f"cannot create {file}/socket.lock: Not a directory"),
        (long, "its path takes 108 bytes, of at most 107"),
        (Path("/proc/socket"), "the folder /proc does not exist"),
    ):
        check_that_it_is_refused(f"unix:{path}", reason)
    check_that_it_is_refused("unix:@name", "abstract sockets are not supported")
    check_that_it_is_refused("unix:/tmp/a%00b", "embedded null byte")
    assert file.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [file]


async def test_a_path_of_the_greatest_length_serves(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / ("x" * (MAX_PATH_BYTES - len(os.fsencode(tmp_path)) - 1))
    async with serving_at(tmp_path, path, database_url) as running:
        await running.wait_for("ready")
        await check_that_it_serves(path)
