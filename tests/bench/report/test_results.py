from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from bench.report.results import Curve, Figure, Results, Row, Target, completed, load, percentile, row, save
from bench.report.table import BEGIN, END, TARGETS, write

LIMIT = ("the limit", Figure(samples=(100.0, 50.0, 200.0)))


def test_a_ratio_is_the_median_of_those_of_the_repetitions() -> None:
    # Medians of both columns would say 90 / 100.
    line = row("key", "title", "calls/s", Figure(samples=(90.0, 40.0, 190.0)), limit=LIMIT)
    assert line.compared == 0.9
    assert line.met is None


@pytest.mark.parametrize(
    ("ours", "at", "bound", "met"),
    [
        (90.0, "least", 0.85, True),
        (80.0, "least", 0.85, False),
        (130.0, "most", 1.3, True),
        (140.0, "most", 1.3, False),
    ],
)
def test_a_target_is_met_up_to_its_bound(ours: float, at: Literal["least", "most"], bound: float, met: bool) -> None:
    limit = ("the limit", Figure(samples=(100.0,)))
    assert row("key", "", "", Figure(samples=(ours,)), limit=limit, target=Target(at=at, bound=bound)).met is met


def test_what_was_not_measured_is_not_judged() -> None:
    line = row("key", "", "", Figure(missing="not built"), limit=LIMIT, target=Target(at="least", bound=1.0))
    assert (line.compared, line.met) == (None, None)


def results_of(taken: str, *rows: Row, curves: tuple[Curve, ...] = ()) -> Results:
    return Results(taken=taken, repetitions=1, quick=False, machine={}, rows=rows, failed=(), curves=curves)


def test_a_partial_run_keeps_the_other_rows_and_when_they_were_taken(tmp_path: Path) -> None:
    reads, writes, batches = (row(key, key, "", Figure(samples=(1.0,))) for key in ("reads", "writes", "batches"))
    curve = Curve(panel="latency", title="configsvc", points=((100, 1.0),))
    first = results_of("Monday", reads, writes, curves=(curve,))
    again = replace(writes, ours=Figure(samples=(2.0,)))
    second = completed(results_of("Tuesday", again), first)
    assert second == results_of("Tuesday", replace(reads, taken="Monday"), again, curves=(curve,))
    third = completed(results_of("Friday", batches), second)
    taken = {one.key: one.taken for one in third.rows}
    assert (third.taken, taken) == ("Friday", {"reads": "Monday", "writes": "Tuesday", "batches": ""})
    save(third, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == third
    document = tmp_path / "page.md"
    document.write_text(f"{BEGIN}{END}", encoding="utf-8")
    write(third, TARGETS, document)
    assert "| reads (taken Monday) |" in document.read_text(encoding="utf-8")


def test_figures_of_a_quick_run_go_with_no_others() -> None:
    quick = replace(results_of("Tuesday"), quick=True)
    assert completed(quick, results_of("Monday", row("reads", "", "", Figure(samples=(1.0,))))) == quick


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    line = row("key", "title", "ms", Figure(samples=(1.0,)), by="value", target=Target(at="most", bound=2.0))
    curve = Curve(panel="latency", title="configsvc", points=((100, 1.0), (1000, 10.0)))
    results = Results(
        taken="", repetitions=1, quick=False, machine={"processors": "2"}, rows=(line,), failed=(), curves=(curve,)
    )
    save(results, tmp_path / "folder" / "results.json")
    assert load(tmp_path / "folder" / "results.json") == results
    document = tmp_path / "page.md"
    document.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="has no"):
        write(results, TARGETS, document)


def test_percentiles() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 99)) == (51.0, 100.0, 7.0)
