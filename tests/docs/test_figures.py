"""Figures in the documents, computed from the code."""

import re
from pathlib import Path

import pytest

from configsvc.storage.database import pool_sizes

PROJECT = Path(__file__).parents[2]
# The changelog has the figures of earlier releases, the other the connections of the benchmarks' clients.
OTHERS = ("CHANGELOG.md", "performance.md")
DOCUMENTS = sorted(
    path for path in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")) if path.name not in OTHERS
)
WORKERS = (1, 2, 4, 8)
COLUMNS = {
    "reads": "reads",
    "merges": "group commits",
    "writes": "other writes",
    "watches": "watches",
    "operations": "operations",
}
# Outside the pools, each worker has these.
SINGLE = ("queue of operations", "listener")


def of_each(workers: int) -> int:
    return sum(pool_sizes(workers).values()) + len(SINGLE)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_table_of_connections_is_computed() -> None:
    text = (PROJECT / "docs" / "guide" / "operate.md").read_text(encoding="utf-8")
    table = text.split("<!-- connections: begin -->")[1].split("<!-- connections: end -->")[0]
    header, _, *rows = table.strip().splitlines()
    assert cells(header) == ["workers", "connections at most", *COLUMNS.values(), *SINGLE]
    assert [[int(cell) for cell in cells(row)] for row in rows] == [
        [workers, workers * of_each(workers), *(pool_sizes(workers)[pool] for pool in COLUMNS), *(1 for _ in SINGLE)]
        for workers in WORKERS
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_document_names_another_number_of_connections(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = {int(number) for number in re.findall(r"\b(\d+) (?:database )?connections\b", text)}
    known = {size for workers in WORKERS for size in pool_sizes(workers).values()}
    known |= {number for workers in WORKERS for number in (of_each(workers), workers * of_each(workers))}
    assert named <= known


def test_the_metric_of_connections_names_every_pool() -> None:
    text = (PROJECT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `configsvc_database_connections`"))
    assert f"({', '.join(pool_sizes(1))})" in row
