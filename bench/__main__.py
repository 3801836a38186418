"""The command line: `python -m bench run`, `report` and `plot`."""

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

from bench.plan import FULL, QUICK
from bench.report import plot, table
from bench.report.results import Results, completed, load, save
from bench.suite import Group, measure

PROJECT = Path(__file__).parent.parent
LATEST = PROJECT / "bench" / "results" / "latest.json"
DOCUMENT = PROJECT / "docs" / "internals" / "performance.md"
PLOT = DOCUMENT.with_name(table.PLOT)

app = typer.Typer(
    help="Measures the service against its limits, etcd and its targets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ResultsPath = Annotated[Path, typer.Option("--results", help="The results, as run wrote them.")]


@app.command("run")
def run_command(
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds, to see that it works: no figures.")] = False,
    only: Annotated[
        list[Group] | None,
        typer.Option(help="Measure this alone, and keep the other rows of the file; may be given again."),
    ] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="How often each figure is taken.")] = None,
    output: Annotated[Path, typer.Option(help="Where the results go.")] = LATEST,
) -> None:
    """Measure, write the results and print the table."""
    plan = QUICK if quick else FULL
    plan = replace(plan, repetitions=repetitions or plan.repetitions)
    output = output.resolve()
    # Its programs are started as modules of the project.
    os.chdir(PROJECT)
    # What the embedded PostgreSQL logs would stand in the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    # Read first: minutes of measuring are not for a file that cannot be read.
    earlier = load(output) if only and output.exists() else None
    try:
        results = uvloop.run(_ended_by_sigterm(measure(plan, only or list(Group))))
    except asyncio.CancelledError:
        raise typer.Exit(1) from None
    if earlier is not None:
        results = completed(results, earlier)
    save(results, output)
    table.show(results)
    if results.failed:
        raise typer.Exit(1)


@app.command("report")
def report_command(
    results: ResultsPath = LATEST,
    document: Annotated[Path, typer.Option(help="The document whose table is replaced.")] = DOCUMENT,
) -> None:
    """Put the table of a run into the document, and the plot beside it."""
    loaded = load(results)
    table.write(loaded, document)
    _draw(loaded, document.with_name(table.PLOT))


@app.command("plot")
def plot_command(
    results: ResultsPath = LATEST,
    output: Annotated[Path, typer.Option(help="The SVG.")] = PLOT,
) -> None:
    """Draw latency and memory against the number of watchers."""
    _draw(load(results), output)


async def _ended_by_sigterm(measuring: Coroutine[Any, Any, Results]) -> Results:
    """Ends what was started on SIGTERM too; Ctrl-C does so by itself."""
    task = asyncio.ensure_future(measuring)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _draw(results: Results, output: Path) -> None:
    if results.curves:
        output.write_text(plot.svg(results), encoding="utf-8")


if __name__ == "__main__":
    app()
