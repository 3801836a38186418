"""Programs that fork, with real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.client.clients import LIMIT_SECONDS, put, run_program
from tests.service import Service
from tests.storage.reading import Session

# Each program prints what its child says.
STARTED_BEFORE_THE_FORK = """
import logging, os, sys, threading
from configsvc.client import ConfigError
from configsvc.client.blocking import ConfigClient
logging.basicConfig(level="WARNING", stream=sys.stdout, format="%(message).46s")
with ConfigClient(sys.argv[1], application="shop", stale_after=sys.maxsize) as configs:
    configs.on_change(print)
    changes = configs.changes()
    child = os.fork()
    if child == 0:
        print(configs["limits"], configs["limits"], configs.status.is_forked, configs.status.is_connected)
        try:
            next(changes)
        except ConfigError as error:
            print(str(error)[:23])
        try:
            ConfigClient(sys.argv[1], application="shop").start()
        except ConfigError as error:
            print(str(error)[-33:])
        configs.close()
        sys.exit(7)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), configs.status.is_forked, configs.status.is_connected)
"""

MULTIPROCESSING = """
import logging, multiprocessing, sys
from configsvc.client.blocking import ConfigClient
def child(configs):
    print(configs["limits"], configs.status.is_forked, flush=True)
if __name__ == "__main__":
    logging.basicConfig(level="ERROR")
    with ConfigClient(sys.argv[1], application="shop") as configs:
        process = multiprocessing.get_context("fork").Process(target=child, args=(configs,))
        process.start()
        process.join()
        print(process.exitcode, configs.status.is_connected)
"""

MADE_BEFORE_AND_STARTED_AFTER_THE_FORK = """
import os, sys
from configsvc.client.blocking import ConfigClient
configs = ConfigClient(sys.argv[1], application="shop")
child = os.fork()
with configs:
    print(configs["limits"], configs.status.source, flush=True)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

CLOSED_BEFORE_THE_FORK = """
import os, sys
from configsvc.client import ConfigError
from configsvc.client.blocking import ConfigClient
with ConfigClient(sys.argv[1], application="shop") as configs:
    pass
child = os.fork()
if child == 0:
    assert not configs.status.is_forked
    try:
        ConfigClient(sys.argv[1], application="shop").start()
    except ConfigError as error:
        print(configs["limits"], str(error)[-9:], flush=True)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

LOOP = """
import asyncio, logging, os, sys
from configsvc.client import ConfigClient
async def main():
    async with ConfigClient(sys.argv[1], application="shop") as configs:
        child = os.fork()
        if child == 0:
            print(configs["limits"], configs.status.is_forked, flush=True)
            await configs.close()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), configs.status.is_connected)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
async def limits(psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')


async def test_a_child_keeps_what_it_inherited_as_stale_and_logs_once(service: Service) -> None:
    assert (await run_program(STARTED_BEFORE_THE_FORK, service.address)).splitlines() == [
        "this process was forked from one whose client ",
        "{'n': 1} {'n': 1} True False",
        "this process was forked",
        "start clients after the fork only",
        "7 False True",
    ]


async def test_a_child_of_multiprocessing_keeps_what_it_inherited(service: Service) -> None:
    assert await run_program(MULTIPROCESSING, service.address) == "{'n': 1} True\n0 True\n"


async def test_a_client_that_is_made_before_the_fork_can_be_started_in_each_process(service: Service) -> None:
    output = await run_program(MADE_BEFORE_AND_STARTED_AFTER_THE_FORK, service.address)
    assert output == "{'n': 1} service\n" * 2


async def test_a_child_of_a_program_with_a_loop_keeps_what_it_inherited(service: Service) -> None:
    assert await run_program(LOOP, service.address) == "{'n': 1} True\n7 True\n"


async def test_a_child_of_a_program_that_has_closed_its_client_starts_none_either(service: Service) -> None:
    assert await run_program(CLOSED_BEFORE_THE_FORK, service.address) == "{'n': 1} fork only\n7\n"


APPLICATION = """
import os
from configsvc.client.blocking import ConfigClient
configs = ConfigClient(os.environ["ADDRESS"], application="shop")
if os.environ["STARTS"] == "at import":
    configs.start()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    limits, status = configs["limits"], configs.status
    return [f"{limits['n']} {status.is_forked} {status.is_connected}".encode()]
"""

HOOKS = """
def post_worker_init(worker):
    import application
    if not application.configs.status.is_ready:
        application.configs.start()
"""


@asynccontextmanager
async def gunicorn(folder: Path, address: str, starts: str) -> AsyncGenerator[str]:
    """Run the application under gunicorn, preloaded, with two workers; yield the path of its socket."""
    (folder / "application.py").write_text(APPLICATION, encoding="utf-8")
    (folder / "hooks.py").write_text(HOOKS, encoding="utf-8")
    socket = folder / "gunicorn.sock"
    arguments = [
        "--preload",
        "--workers",
        "2",
        "--no-control-socket",
        "--bind",
        f"unix:{socket}",
        "--config",
        "hooks.py",
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gunicorn", *arguments, "application:application"),
        cwd=folder,
        env=os.environ | {"ADDRESS": address, "STARTS": starts},
        start_new_session=True,
    )
    try:
        yield str(socket)
    finally:
        assert await ended(process) == 0


async def ended(process: asyncio.subprocess.Process) -> int:
    """End a program and all that it started; return its exit code."""
    try:
        process.terminate()
        async with asyncio.timeout(LIMIT_SECONDS):
            return await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def answer(socket: str) -> str:
    """Return the answer of the application; empty while there is none."""
    transport = httpx.AsyncHTTPTransport(uds=socket)
    async with httpx.AsyncClient(transport=transport, base_url="http://gunicorn", timeout=LIMIT_SECONDS) as client:
        try:
            return (await client.get("/")).text
        except httpx.TransportError:
            return ""


async def until_answered(socket: str, wanted: str) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while await answer(socket) != wanted:  # noqa: ASYNC110  # it can only be asked
            await asyncio.sleep(0.05)


async def test_workers_of_gunicorn_with_preload_follow_if_their_hook_starts_the_client(
    service: Service, psql: Session, tmp_path: Path
) -> None:
    async with gunicorn(tmp_path, service.address, "in the worker") as socket:
        await until_answered(socket, "1 False True")
        await put(psql, "limits", '{"n": 2}')
        await until_answered(socket, "2 False True")


async def test_workers_of_gunicorn_with_preload_keep_what_they_inherited(
    service: Service, psql: Session, tmp_path: Path
) -> None:
    async with gunicorn(tmp_path, service.address, "at import") as socket:
        await until_answered(socket, "1 True False")
        await put(psql, "limits", '{"n": 2}')
        # A worker may be forked after the change, and then it inherits that.
        assert {(await answer(socket)).partition(" ")[2] for _ in range(5)} == {"True False"}


TASKS = """
import os
from celery import Celery
from celery.signals import worker_process_init
from configsvc.client.blocking import ConfigClient

folder = os.environ["FOLDER"]
app = Celery("tasks", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{folder}/queue", "data_folder_out": f"{folder}/queue", "control_folder": f"{folder}/control"
}
app.conf.broker_connection_retry_on_startup = True
configs = ConfigClient(os.environ["ADDRESS"], application="shop")
if os.environ["STARTS"] == "at import":
    configs.start()
else:
    @worker_process_init.connect
    def start(**_):
        configs.start()

@app.task
def read():
    return f"{configs['limits']['n']} {configs.status.is_forked} {configs.status.is_connected}"
"""

CALLS = """
import os, sys
os.environ["STARTS"] = "never"
sys.path.insert(0, os.environ["FOLDER"])
from tasks import read
print(read.delay().get(timeout=30, interval=0.05))
"""


@pytest.mark.parametrize(("starts", "said"), [("in the worker", "1 False True"), ("at import", "1 True False")])
async def test_tasks_of_celery_follow_or_keep_what_they_inherited(
    starts: str, said: str, service: Service, tmp_path: Path
) -> None:
    for name in ("results", "queue", "control"):
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    variables = os.environ | {"ADDRESS": service.address, "STARTS": starts, "FOLDER": str(tmp_path)}
    arguments = ["--app", "tasks", "worker", "--pool", "prefork", "--concurrency", "1"]
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "celery", *arguments, "--without-gossip", "--without-mingle"),
        cwd=tmp_path,
        env=variables,
        start_new_session=True,
    )
    try:
        assert await run_program(CALLS, variables=variables) == f"{said}\n"
    finally:
        await ended(worker)
