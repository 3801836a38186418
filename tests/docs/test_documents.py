import ast
import re
from pathlib import Path

import pytest

from configapi.v1.error_reason_pb2 import ErrorReason
from configsvc.rpc.errors import TRANSLATIONS

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted((*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")))


def document(name: str) -> str:
    return (PROJECT / "docs" / name).read_text(encoding="utf-8")


def test_every_module_stands_in_the_table_of_the_architecture() -> None:
    package = PROJECT / "configsvc"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    listed = re.findall(r"^\| `configsvc\.(\w+)` \| \S", document("architecture.md"), re.MULTILINE)
    assert sorted(listed) == sorted(modules | packages)


def test_every_error_reason_is_documented() -> None:
    reasons = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]]
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \|", document("errors.md"), re.MULTILINE)
    assert [reason for reason, _ in rows] == reasons
    statuses = {translation.reason: translation.code.name for translation in TRANSLATIONS.values()}
    assert {ErrorReason.Value(f"ERROR_REASON_{reason}"): status for reason, status in rows} == {
        **statuses,
        ErrorReason.ERROR_REASON_INTERNAL: "INTERNAL",
    }


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", document("guarantees.md")))
    existing = {
        node.name
        for path in (PROJECT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert named
    assert named - existing == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
