"""The command line: `python -m bench run`, `compare`, `report` and `plot`."""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
import uvloop

from bench.measure.comparison import ComparedGroup
from bench.plan import FULL, QUICK, Plan
from bench.report import comparison, plot, table
from bench.report.results import Results, completed, load, save
from bench.suite import Group, compare, measure

PROJECT = Path(__file__).parent.parent
LATEST = PROJECT / "bench" / "results" / "latest.json"
COMPARISON = LATEST.with_name("comparison.md")
DOCUMENT = PROJECT / "docs" / "internals" / "performance.md"
PLOT = DOCUMENT.with_name(table.PLOT)

app = typer.Typer(
    help="Measure the service against its limits, etcd and its targets, or against another build of it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Quick = Annotated[
    bool, typer.Option("--quick", help="Run for seconds only, to test the benchmark. The figures are not valid.")
]
Repetitions = Annotated[int | None, typer.Option(min=1, help="Number of samples of each figure.")]
ResultsPath = Annotated[Path, typer.Option("--results", help="Results file that run wrote.")]


@app.command("run")
def run_command(
    quick: Quick = False,
    only: Annotated[
        list[Group] | None,
        typer.Option(help="Measure this group only, and keep the other rows of the results file. Repeatable."),
    ] = None,
    repetitions: Repetitions = None,
    output: Annotated[Path, typer.Option(help="Results file to write.")] = LATEST,
) -> None:
    """Measure, write the results and print the table."""
    output = output.resolve()
    # Read first, so that an unreadable file does not cost minutes of measuring.
    earlier = load(output) if only and output.exists() else None
    results = _finished(measure(_plan(quick, repetitions), only or list(Group)))
    if earlier is not None:
        results = completed(results, earlier)
    save(results, output)
    table.show(results, table.TARGETS)
    if results.failed:
        raise typer.Exit(1)


@app.command("compare")
def compare_command(
    other: Annotated[
        Path,
        typer.Option(
            help="The configsvc program of the other build, such as OTHER/.venv/bin/configsvc.",
            exists=True,
            dir_okay=False,
        ),
    ],
    quick: Quick = False,
    only: Annotated[list[ComparedGroup] | None, typer.Option(help="Compare this group only. Repeatable.")] = None,
    repetitions: Repetitions = None,
    output: Annotated[Path, typer.Option(help="Markdown file to write.")] = COMPARISON,
) -> None:
    """Alternate between this build and another one, print both and their ratio, and write them as Markdown."""
    # Not resolved: the links of a virtual environment matter.
    other, output = other.absolute(), output.resolve()
    results = _finished(compare(_plan(quick, repetitions), only or list(ComparedGroup), other))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(table.markdown(results, comparison.LAYOUT) + "\n", encoding="utf-8")
    table.show(results, comparison.LAYOUT)
    if results.failed:
        raise typer.Exit(1)


@app.command("report")
def report_command(
    results: ResultsPath = LATEST,
    document: Annotated[Path, typer.Option(help="Document with the table to replace.")] = DOCUMENT,
) -> None:
    """Insert the table of a run into the document, and draw the plot beside it."""
    loaded = load(results)
    table.write(loaded, table.TARGETS, document)
    _draw(loaded, document.with_name(table.PLOT))


@app.command("plot")
def plot_command(
    results: ResultsPath = LATEST,
    output: Annotated[Path, typer.Option(help="SVG file to write.")] = PLOT,
) -> None:
    """Draw latency and memory by number of watchers."""
    _draw(load(results), output)


def _plan(quick: bool, repetitions: int | None) -> Plan:
    plan = QUICK if quick else FULL
    return replace(plan, repetitions=repetitions or plan.repetitions)


def _finished(measuring: Coroutine[Any, Any, Results]) -> Results:
    # `python -m bench.…` needs it.
    os.chdir(PROJECT)
    # Hide the log of the embedded PostgreSQL.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        return uvloop.run(_ended_by_sigterm(measuring))
    except asyncio.CancelledError:
        raise typer.Exit(1) from None


async def _ended_by_sigterm(measuring: Coroutine[Any, Any, Results]) -> Results:
    """Cancel on SIGTERM too, as on Ctrl-C, to end all started programs."""
    task = asyncio.ensure_future(measuring)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _draw(results: Results, output: Path) -> None:
    if results.curves:
        output.write_text(plot.svg(results), encoding="utf-8")


if __name__ == "__main__":
    app()
