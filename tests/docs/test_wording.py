"""Wording of docstrings, as far as it can be counted. Ruff's D401 checks that those of functions are imperative."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("configsvc", "tests", "bench", "demo", "scripts")
# A reader has to decode a docstring that begins like a question.
OPENERS = frozenset({"What", "Whether", "Who", "Whom", "Whose", "How", "Where", "Why", "When", "Which"})
MOST = 0.02


def docstrings() -> Iterator[str]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield ast.get_docstring(node) or ""


def test_few_docstrings_begin_like_a_question() -> None:
    texts = [text for text in docstrings() if text]
    asking = [text for text in texts if text.split()[0] in OPENERS]
    assert len(texts) > 1000
    assert len(asking) <= MOST * len(texts), asking
