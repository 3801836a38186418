"""The programs of the guide, as they stand."""

import sys
from pathlib import Path

from tests.client.clients import put, run_program
from tests.docs.test_guide import blocks, line_with, process
from tests.service import Service
from tests.storage.reading import Session

GUIDE = "docs/guide/python-client.md"
ADDRESS = "localhost:50051"


HTTP_ADDRESS = "localhost:50080"
FORKS = """
import os
if os.fork() == 0:
    print(configs["web"]["replicas"], configs.status.is_forked, flush=True)
    os._exit(0)
os.wait()
"""


def programs(address: str, http_address: str = "") -> list[str]:
    texts = blocks(GUIDE, "python")
    return [text.replace(ADDRESS, address).replace(HTTP_ADDRESS, http_address) for text in texts]


async def test_the_program_with_a_loop_reads_binds_and_follows(service: Service, psql: Session, tmp_path: Path) -> None:
    await put(psql, "web", '{"replicas": 3}')
    program = tmp_path / "program.py"
    program.write_text(programs(service.address)[0], encoding="utf-8")
    async with process(sys.executable, str(program)) as running:
        assert await line_with("{", running) == "{'replicas': 3}\n"
        assert await line_with("3", running) == "3\n"
        await put(psql, "web", '{"replicas": 4}')
        assert (await line_with("database:", running)).endswith(" 4\n")


async def test_the_programs_without_a_loop_read(service: Service, psql: Session) -> None:
    await put(psql, "web", '{"replicas": 3}')
    _, reads, forks, settings, _ = programs(service.address, service.http_address)
    assert await run_program(reads) == await run_program(settings) == "3\n"
    assert await run_program(forks + FORKS) == "3 False\n"


def test_the_test_of_the_guide_passes() -> None:
    module: dict[str, object] = {}
    exec(compile(programs("")[4], GUIDE, "exec"), module)  # it is ours
    test = module["test_the_shop_opens"]
    assert callable(test)
    test()
