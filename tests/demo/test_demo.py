import asyncio
import re
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from demo.files import CORPUS, PROJECT, SHIPPED, Item, find, valid_name
from tests.service import Service

LIMIT_SECONDS = 40.0


async def demo(*arguments: str) -> tuple[int, str, str]:
    """Run the demo as people do; return its exit code and output."""
    process = await started_demo(*arguments)
    async with asyncio.timeout(LIMIT_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


# A test run in the background of a shell ignores SIGINT, and so would its children.
COMMAND = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('demo', run_name='__main__')"
)


async def started_demo(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, *arguments),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def rows(output: str, title: str) -> list[tuple[str, str]]:
    """Return type and reason of the events under a title."""
    part = output.partition(title)[2].partition("\n\n")[0]
    return re.findall(r"^ *\d+ +([A-Z]+) .* demo: ([a-z_ ]+?) *$", part, re.MULTILINE)


async def test_the_shipped_configurations_load_twice(service: Service) -> None:
    arguments = ("--address", service.address, "--folder", str(SHIPPED))
    code, output, errors = await demo(*arguments)
    assert (code, errors) == (0, "")
    assert "11 CREATED, 2 DELETED, 5 UPDATED" in output
    assert "the views equal ListConfigurations: 9 configurations" in output
    changes = [("UPDATED", "merge_patch")] * 5
    # The old name is gone, and the new one is there.
    changes += [("DELETED", "rename"), ("CREATED", "rename"), ("DELETED", "delete")]
    assert rows(output, "Events of the changes") == changes

    code, output, errors = await demo(*arguments)
    assert (code, errors) == (0, "")
    assert Counter(rows(output, "Events of the load")) == {
        ("CREATED", "load"): 2,
        ("UPDATED", "load again"): 5,
    }
    assert ("DELETED", "left by an earlier run") in rows(output, "Events of the changes")
    assert "the views equal ListConfigurations: 9 configurations" in output
    # No terminal, no escape sequences.
    assert "\x1b" not in output


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the folder of real configurations, ../shared/corpus, is not there")
async def test_real_configurations_load(service: Service) -> None:
    code, output, errors = await demo("--address", service.address, "--folder", str(CORPUS), "--limit", "60")
    assert (code, errors) == (0, "")
    read = re.search(r"Read (\d+) configurations", output)
    assert read
    assert int(read[1]) > 50
    assert f"the views equal ListConfigurations: {int(read[1]) - 1} configurations" in output


async def test_it_says_what_to_do_when_nothing_answers() -> None:
    code, _, errors = await demo("--address", "localhost:1", "--folder", str(SHIPPED))
    assert (code, errors) == (1, "demo: no service responds at localhost:1: start it with make run\n")


async def test_interrupt_ends_it_clean(service: Service, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(1500):
        (tmp_path / "many" / f"{number}.json").write_text("{}")
    process = await started_demo("--address", service.address, "--folder", str(tmp_path))
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (await process.stdout.readline()).startswith(b"The watch starts"):
            pass
        process.send_signal(signal.SIGINT)
        errors = await process.stderr.read()
        code = await process.wait()
    assert (code, errors) == (1, b"demo: interrupted\n")


def test_files_that_cannot_be_kept_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "my app" / "valid"
    folder.mkdir(parents=True)
    (folder / "good one.yaml").write_text("a: {b: [1, true, null]}")
    (folder / "date.yaml").write_text("day: 2026-01-02")
    (folder / "large.json").write_text('{"a": [9007199254740992]}')
    (folder / "nan.json").write_text('{"a": NaN}')
    (folder / "keys.yaml").write_text("1: a")
    (folder / "list.json").write_text("[]")
    (folder / "comments.json").write_text("{} // what")
    (folder / "tags.yaml").write_text("a: !mine 1")
    (folder / "notes.txt").write_text("not read")
    found = find(tmp_path, None)
    assert found.items == (Item(application="demo-my-app", name="good-one", content={"a": {"b": [1, True, None]}}),)
    assert found.skipped == {
        "it contains a date": 1,
        "it contains a number beyond 2^53-1": 1,
        "it contains NaN or an infinity": 1,
        "it contains a key that is not text": 1,
        "its root is not an object": 1,
        "it is not JSON (perhaps it has comments)": 1,
        "it is not YAML with one document and standard tags": 1,
    }


def test_files_of_one_stem_keep_their_suffixes(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.json").write_text("{}")
    (tmp_path / "app" / "a.yaml").write_text("{}")
    assert [item.name for item in find(tmp_path, None).items] == ["a.json", "a.yaml"]


@pytest.mark.parametrize(
    ("name", "valid"),
    [("a b/ü.json", "a-b-.json"), ("--x", "x"), ("..", "unnamed"), (".eslintrc.json", "eslintrc.json")],
)
def test_names_are_made_valid(name: str, valid: str) -> None:
    assert valid_name(name) == valid
