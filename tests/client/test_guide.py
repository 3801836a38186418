"""The programs of the guide, as they stand."""

import sys
from pathlib import Path

from tests.client.clients import put, run_program
from tests.docs.test_guide import blocks, line_with, process
from tests.service import Service
from tests.storage.reading import Session

GUIDE = "docs/guide/python-client.md"
ADDRESS = "localhost:50051"


def programs(address: str) -> list[str]:
    return [text.replace(ADDRESS, address) for text in blocks(GUIDE, "python")]


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
    for program in programs(service.address)[1:3]:
        assert await run_program(program) == "3\n"


def test_the_test_of_the_guide_passes() -> None:
    module: dict[str, object] = {}
    exec(compile(programs("")[3], GUIDE, "exec"), module)  # it is ours
    test = module["test_the_shop_opens"]
    assert callable(test)
    test()
