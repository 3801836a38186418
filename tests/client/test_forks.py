"""Programs that fork, with real processes."""

import pytest

from tests.client.clients import put, run_program
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
            print(str(error)[-46:])
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
from configsvc.client.blocking import ConfigClient
with ConfigClient(sys.argv[1], application="shop") as configs:
    pass
child = os.fork()
if child == 0:
    assert not configs.status.is_forked
    with ConfigClient(sys.argv[1], application="shop") as configs:
        print(configs["limits"], configs.status.source, flush=True)
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
        "the fork, and close those of the parent before it"[-46:],
        "7 False True",
    ]


async def test_a_child_of_multiprocessing_keeps_what_it_inherited(service: Service) -> None:
    assert await run_program(MULTIPROCESSING, service.address) == "{'n': 1} True\n0 True\n"


async def test_a_client_that_is_made_before_the_fork_can_be_started_in_each_process(service: Service) -> None:
    output = await run_program(MADE_BEFORE_AND_STARTED_AFTER_THE_FORK, service.address)
    assert output == "{'n': 1} service\n" * 2


async def test_a_child_of_a_program_with_a_loop_keeps_what_it_inherited(service: Service) -> None:
    assert await run_program(LOOP, service.address) == "{'n': 1} True\n7 True\n"


async def test_a_client_that_was_closed_before_the_fork_disturbs_nothing(service: Service) -> None:
    assert await run_program(CLOSED_BEFORE_THE_FORK, service.address) == "{'n': 1} service\n7\n"
