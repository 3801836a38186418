import ast
import inspect
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from google.rpc.code_pb2 import Code

from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.api.statuses import TRANSLATIONS
from tests.robustness import validators

PROJECT = Path(__file__).parents[2]
ROBUSTNESS = PROJECT / "tests" / "robustness"
DOCUMENTS = sorted((*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), ROBUSTNESS / "README.md"))
# They name the tests that prove what they say.
PROOFS = (
    PROJECT / "docs" / "reference" / "guarantees.md",
    PROJECT / "docs" / "internals" / "client-promises.md",
    ROBUSTNESS / "README.md",
)


def document(name: str) -> str:
    return (PROJECT / "docs" / name).read_text(encoding="utf-8")


def test_every_room_has_its_section_in_the_architecture_in_the_order_of_the_layers() -> None:
    package = PROJECT / "configsvc"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")} | {"aio"}
    told = re.findall(r"^### `configsvc\.(\w+)`$", document("internals/architecture.md"), re.MULTILINE)
    assert sorted(told) == sorted(rooms)
    layers = layer_by_room()
    assert [layers[room] for room in told] == sorted(layers[room] for room in told)


def layer_by_room() -> dict[str, int]:
    """Return the layer of each room, 0 for the topmost, from the contract that import-linter checks."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return {room.strip(" ()"): number for number, layer in enumerate(layers) for room in re.split(r"[|:]", layer)}


def test_every_error_reason_is_documented() -> None:
    reasons = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]]
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \|", document("reference/errors.md"), re.MULTILINE)
    assert [reason for reason, _ in rows] == reasons
    statuses = {translation.reason: Code.Name(translation.code) for translation in TRANSLATIONS.values()}
    assert {ErrorReason.Value(f"ERROR_REASON_{reason}"): status for reason, status in rows} == {
        **statuses,
        ErrorReason.ERROR_REASON_INTERNAL: "INTERNAL",
    }


def names_of_tests(folder: Path) -> set[str]:
    """Return the names of all test functions."""
    return {
        node.name
        for path in folder.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("path", PROOFS, ids=lambda path: path.name)
def test_every_test_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8")))
    assert named
    assert named - names_of_tests(PROJECT / "tests") == set()


def test_every_test_of_robustness_stands_in_its_readme() -> None:
    text = (ROBUSTNESS / "README.md").read_text(encoding="utf-8")
    assert sorted(names_of_tests(ROBUSTNESS)) == sorted(
        set(re.findall(r"`(test_\w+)`", text)) & names_of_tests(ROBUSTNESS)
    )


def test_every_judge_of_robustness_stands_in_its_readme_with_its_sentence() -> None:
    text = (ROBUSTNESS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*.*\*\* \| (.+) \| `(\w+)` \|$", text, re.MULTILINE)
    judges = (*validators.JUDGES, validators.right, validators.bounded, validators.answered, validators.latest)
    assert sorted(rows) == sorted((sentence_of(judge), judge.__name__) for judge in judges)


def sentence_of(judge: Callable[..., object]) -> str:
    return inspect.cleandoc(judge.__doc__ or "").removeprefix("Check that ").removesuffix(".")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
