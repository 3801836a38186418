"""Results as a table, on a terminal and in Markdown."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.report.results import Figure, Results, Row

PLOT = "watchers.svg"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
# Wide enough for each row to fit on one line in a pipe.
PIPE_WIDTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of a table. The second and following ones are those of `ours`, `limit` and, if used, `etcd`."""

    headers: tuple[str, ...]
    cells: Callable[[Row], tuple[str, ...]]


def show(results: Results, layout: Layout) -> None:
    """Print the table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    table = Table(*layout.headers, title=_title(results), title_justify="left")
    for row in results.rows:
        table.add_row(*layout.cells(row))
    console.print(table)
    for line in _missing(results, layout):
        console.print(line, markup=False, highlight=False)


def write(results: Results, layout: Layout, document: Path) -> None:
    """Replace the table between the two marks of a document. Raises ValueError if they are missing."""
    text = document.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} has no {BEGIN} … {END}")
    document.write_text(f"{before}{BEGIN}\n{markdown(results, layout)}\n{END}{after}", encoding="utf-8")


def markdown(results: Results, layout: Layout) -> str:
    """Return the table, the missing figures and the machine as Markdown."""
    lines = [layout.headers, ("---",) * len(layout.headers), *map(layout.cells, results.rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    missing = "\n".join(f"- {line}" for line in _missing(results, layout))
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    plot = f"![Latency and memory against the number of watchers]({PLOT})" if results.curves else ""
    return "\n\n".join(filter(None, (f"{_title(results)}.", table, missing, plot, machine)))


def _title(results: Results) -> str:
    kind = " (quick: these figures are meaningless)" if results.quick else ""
    return f"{results.taken}, median of {results.repetitions}{kind}"


def _missing(results: Results, layout: Layout) -> list[str]:
    """Return the reasons for missing figures."""
    cells: defaultdict[str, list[str]] = defaultdict(list)
    for row in results.rows:
        for column, figure in zip(layout.headers[1:], (row.ours, row.limit, row.etcd), strict=False):
            if figure.missing:
                cells[figure.missing].append(f"{row.title} ({column})")
    failed = [f"failed: {text}" for text in results.failed]
    return failed + [f"not measured, {reason}: {'; '.join(of)}" for reason, of in cells.items()]


def number(value: float) -> str:
    """Return a number with about three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def ratio(value: float) -> str:
    """Return a ratio, such as × 0.85."""
    return f"× {value:.2f}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.title} (taken {row.taken})" if row.taken else row.title,
        _shown(row.ours, row.unit),
        _titled(row.limit, row.limit_title, row.unit),
        _titled(row.etcd, row.etcd_title, row.unit),
        _compared(row),
        _target(row),
        {True: "met", False: "**not met**", None: ""}[row.met],
    )


def _titled(figure: Figure, title: str, unit: str) -> str:
    return f"{_shown(figure, unit)} ({title})" if title else ""


def _shown(figure: Figure, unit: str) -> str:
    return "not measured" if figure.median is None else f"{number(figure.median)} {unit}"


def _compared(row: Row) -> str:
    if row.compared is None or row.by == "value":
        return ""
    return f"{row.compared:+,.2f} {row.unit}" if row.by == "difference" else ratio(row.compared)


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    bound = f"{row.target.bound:,g}"
    shown = {"ratio": f"× {bound}", "difference": f"{bound} {row.unit} above", "value": f"{bound} {row.unit}"}[row.by]
    return f"at {row.target.at} {shown}"


TARGETS = Layout(headers=("what", "configsvc", "limit", "etcd", "against the limit", "target", "met"), cells=_cells)
