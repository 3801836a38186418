"""Programs that fork, with real processes."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.client.clients import LIMIT_SECONDS, addresses_of, put, run_program
from tests.docs.test_guide import line_with, process
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
            print(str(error)[-48:])
        configs.close()
        sys.exit(7)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), configs.status.is_forked, configs.status.is_connected)
"""

# Its parent goes on.
BECOMES_STALE = """
import os, sys, time
from configsvc.client import StaleError
from configsvc.client.blocking import ConfigClient

def outcome(wanted):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            found = configs["limits"]
        except StaleError as error:
            found = error
        if isinstance(found, wanted):
            return found
        time.sleep(0.005)
    raise AssertionError(wanted)

with ConfigClient(sys.argv[1], application="shop", stale_after=0.5, on_stale="raise") as configs:
    child = os.fork()
    if child == 0:
        error = outcome(StaleError)
        print(configs.staleness > 0.5, "this process was forked" in str(error), flush=True)
        os._exit(7)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), outcome(dict), configs.staleness < 0.5)
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


# The child first uses its client when it is told to. Each parent has a child: the last one follows.
FOLLOWS_ON = """
import json, logging, os, sys, threading, time
from configsvc.client import ConfigError
from configsvc.client.blocking import ConfigClient

def until(condition):
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)

def follow(configs, earlier):
    print("forked", flush=True)
    until(lambda: os.path.exists(sys.argv[4]))
    late = []
    configs.on_change(late.append)
    changes = configs.changes("limits")
    print(configs["limits"]["n"], flush=True)
    change = next(changes)
    print(change.before.content["n"], change.after.content["n"], configs["limits"]["n"], flush=True)
    until(lambda: seen and late and configs.status.is_connected)
    print(sum(one.name.startswith("configsvc: ") for one in threading.enumerate()), end=" ")
    print(seen, configs.status.is_forked, configs.status.last_error == "", bound.value.n)
    try:
        next(earlier)
    except ConfigError as error:
        print(error)
    # One that is started there uses HTTP, too.
    with ConfigClient(sys.argv[1], application="shop", **options) as another:
        print(another["limits"]["n"])
    configs.close()
    print(configs["limits"]["n"], configs.status.is_connected)

def fork(generations):
    child = os.fork()
    if child == 0:
        if generations > 1:
            fork(generations - 1)
        else:
            follow(configs, iteration)
        if generations > 1:
            # What was not used and is closed never begins.
            configs.close()
            assert (configs["limits"]["n"], threading.active_count()) == (1, 1)
        # Everything is torn down, which must not touch what the parent has open.
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

from dataclasses import dataclass
@dataclass
class Limits:
    n: int

class Kept(logging.Handler):
    def emit(self, record):
        ends.append(record.getMessage())

options = json.loads(sys.argv[2])
seen, ends = [], []
logging.getLogger("configsvc.client").setLevel("INFO")
logging.getLogger("configsvc.client").addHandler(Kept())
with ConfigClient(sys.argv[1], application="shop", **options) as configs:
    configs.on_change(lambda change: seen.append(change.after.content["n"]))
    bound, iteration = configs.bind("limits", Limits), configs.changes()
    fork(int(sys.argv[3]))
    until(lambda: configs["limits"]["n"] == 2)
    print(configs.status.is_connected, next(iteration).after.content["n"], ends)
"""

# The thread of the client has begun, and nothing else.
FORKED_WHILE_STARTING = """
import os, sys, threading, time
from configsvc.client import NotReadyError
from configsvc.client.background import Background
from configsvc.client.blocking import ConfigClient

run, begun, forked = Background._run, threading.Event(), threading.Event()

def wait_and_run(background):
    begun.set()
    forked.wait()
    run(background)

Background._run = wait_and_run
configs = ConfigClient(sys.argv[1], application="shop")
starting = threading.Thread(target=configs.start)
starting.start()
begun.wait()
child = os.fork()
if child == 0:
    Background._run = run
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            print(configs["limits"], flush=True)
            break
        except NotReadyError:
            time.sleep(0.005)
    configs.close()
    os._exit(7)
forked.set()
starting.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), configs.status.is_connected)
configs.close()
"""

CHILDREN_FOLLOW_ON = """
import asyncio, logging, multiprocessing, os, sys, time
from configsvc.client import ConfigClient, blocking

def follow(configs):
    print("forked", configs["limits"]["n"], flush=True)
    while configs["limits"]["n"] != 2:
        time.sleep(0.005)
    print("changed", flush=True)

async def with_a_loop():
    async with ConfigClient(sys.argv[1], application="shop", http_address=sys.argv[2]) as configs:
        child = os.fork()
        if child == 0:
            follow(configs)
            await configs.close()
            os._exit(7)
        print(os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1]))

def with_multiprocessing():
    with blocking.ConfigClient(sys.argv[1], application="shop", http_address=sys.argv[2]) as configs:
        process = multiprocessing.get_context("fork").Process(target=follow, args=(configs,))
        process.start()
        process.join()
        print(process.exitcode)

asyncio.run(with_a_loop()) if sys.argv[3] == "loop" else with_multiprocessing()
"""


@pytest.fixture(autouse=True)
async def limits(psql: Session) -> None:
    await put(psql, "limits", '{"n": 1}')


async def test_a_child_keeps_what_it_inherited_as_stale_and_logs_once(service: Service) -> None:
    assert (await run_program(STARTED_BEFORE_THE_FORK, service.address)).splitlines() == [
        "this process was forked from one whose client ",
        "{'n': 1} {'n': 1} True False",
        "this process was forked",
        "http_address, or start clients after the fork only"[-48:],
        "7 False True",
    ]


async def test_what_a_child_inherited_becomes_too_old_for_the_policy(service: Service) -> None:
    assert await run_program(BECOMES_STALE, service.address) == "True True\n7 {'n': 1} True\n"


async def test_a_child_of_multiprocessing_keeps_what_it_inherited(service: Service) -> None:
    assert await run_program(MULTIPROCESSING, service.address) == "{'n': 1} True\n0 True\n"


async def test_a_client_that_is_made_before_the_fork_can_be_started_in_each_process(service: Service) -> None:
    output = await run_program(MADE_BEFORE_AND_STARTED_AFTER_THE_FORK, service.address)
    assert output == "{'n': 1} service\n" * 2


async def test_a_child_of_a_program_with_a_loop_keeps_what_it_inherited(service: Service) -> None:
    assert await run_program(LOOP, service.address) == "{'n': 1} True\n7 True\n"


async def test_a_child_of_a_program_that_has_closed_its_client_starts_none_either(service: Service) -> None:
    assert await run_program(CLOSED_BEFORE_THE_FORK, service.address) == "{'n': 1} fork only\n7\n"


@pytest.mark.parametrize(("over_http", "generations"), [(False, 1), (False, 2), (True, 1)])
async def test_a_child_that_knows_the_http_door_follows_on_from_where_it_was(
    over_http: bool, generations: int, service: Service, psql: Session, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    rpc, http = addresses_of(service)
    arguments = (http, "{}") if over_http else (rpc, json.dumps({"http_address": http}))
    async with process(sys.executable, "-c", FOLLOWS_ON, *arguments, str(generations), str(told)) as program:
        await line_with("forked", program)
        told.touch()
        # Now its iterator has begun: it has no changes from before.
        await line_with("1", program)
        await put(psql, "limits", '{"n": 2}')
        output, _ = await program.communicate()
    assert output.decode().splitlines() == [
        "1 2 2",
        "2 [2] False True 2",
        "this process was forked: what waited for changes before has to begin anew",
        "2",
        "2 False",
        *["7"] * generations,
        "True 2 []",
    ]


async def test_a_child_that_is_forked_while_its_client_starts_follows(service: Service) -> None:
    output = await run_program(FORKED_WHILE_STARTING, f"http://{service.http_address}")
    assert output == "{'n': 1}\n7 True\n"


@pytest.mark.parametrize("kind", ["loop", "multiprocessing"])
async def test_a_child_of_a_program_with_a_loop_and_of_multiprocessing_follows_on(
    kind: str, service: Service, psql: Session
) -> None:
    async with process(sys.executable, "-c", CHILDREN_FOLLOW_ON, *addresses_of(service), kind) as program:
        assert await line_with("forked", program) == "forked 1\n"
        await put(psql, "limits", '{"n": 2}')
        assert await line_with("changed", program) == "changed\n"
        assert await line_with("7" if kind == "loop" else "0", program)


# Of two clients, one knows the HTTP door.
APPLICATION = """
import os
from configsvc.client.blocking import ConfigClient
address = os.environ["ADDRESS"]
clients = ConfigClient(address, application="shop"), ConfigClient(
    address, application="shop", http_address=os.environ["HTTP_ADDRESS"]
)
if os.environ["STARTS"] == "at import":
    for configs in clients:
        configs.start()

def seen():
    return " ".join(f"{one['limits']['n']} {one.status.is_forked} {one.status.is_connected}" for one in clients)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [seen().encode()]
"""

HOOKS = """
def post_worker_init(worker):
    import application
    for configs in application.clients:
        if not configs.status.is_ready:
            configs.start()
"""
# What is seen while one client keeps what it inherited, and the other follows on.
KEEPS_AND_FOLLOWS = "1 True False 1 False True"


def variables_of(service: Service, starts: str) -> dict[str, str]:
    rpc, http = addresses_of(service)
    return {"ADDRESS": rpc, "HTTP_ADDRESS": http, "STARTS": starts}


@asynccontextmanager
async def gunicorn(folder: Path, service: Service, starts: str) -> AsyncGenerator[str]:
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
        env=os.environ | variables_of(service, starts),
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
    async with gunicorn(tmp_path, service, "in the worker") as socket:
        await until_answered(socket, "1 False True 1 False True")
        await put(psql, "limits", '{"n": 2}')
        await until_answered(socket, "2 False True 2 False True")


async def test_workers_of_gunicorn_with_preload_follow_on_over_http_or_keep_what_they_inherited(
    service: Service, psql: Session, tmp_path: Path
) -> None:
    async with gunicorn(tmp_path, service, "at import") as socket:
        await until_answered(socket, KEEPS_AND_FOLLOWS)
        await put(psql, "limits", '{"n": 2}')
        async with asyncio.timeout(LIMIT_SECONDS):
            # Of both workers. One may be forked after the change, and then it inherits that.
            while {(await answer(socket))[1:] for _ in range(10)} != {" True False 2 False True"}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


TASKS = """
import os, time
from celery import Celery
from celery.signals import worker_process_init
from application import clients, seen

folder = os.environ["FOLDER"]
app = Celery("tasks", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{folder}/queue", "data_folder_out": f"{folder}/queue", "control_folder": f"{folder}/control"
}
app.conf.broker_connection_retry_on_startup = True
if os.environ["STARTS"] == "in the worker":
    @worker_process_init.connect
    def start(**_):
        for configs in clients:
            configs.start()

@app.task
def read(wanted):
    end = time.monotonic() + 20
    while seen() != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return seen()
"""

CALLS = """
import os, sys
os.environ["STARTS"] = "never"
sys.path.insert(0, os.environ["FOLDER"])
from tasks import read
print(read.delay(sys.argv[1]).get(timeout=30, interval=0.05))
"""


@pytest.mark.parametrize(
    ("starts", "wanted"),
    [
        ("in the worker", ["1 False True 1 False True"]),
        ("at import", [KEEPS_AND_FOLLOWS, "1 True False 2 False True"]),
    ],
)
async def test_tasks_of_celery_follow_or_keep_what_they_inherited(
    starts: str, wanted: list[str], service: Service, psql: Session, tmp_path: Path
) -> None:
    for name in ("results", "queue", "control"):
        (tmp_path / name).mkdir()
    (tmp_path / "application.py").write_text(APPLICATION, encoding="utf-8")
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    variables = os.environ | variables_of(service, starts) | {"FOLDER": str(tmp_path)}
    arguments = ["--app", "tasks", "worker", "--pool", "prefork", "--concurrency", "1"]
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "celery", *arguments, "--without-gossip", "--without-mingle"),
        cwd=tmp_path,
        env=variables,
        start_new_session=True,
    )
    try:
        for number, said in enumerate(wanted, start=1):
            await put(psql, "limits", f'{{"n": {number}}}')
            assert await run_program(CALLS, said, variables=variables) == f"{said}\n"
    finally:
        await ended(worker)
