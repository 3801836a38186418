"""The table of the results, on a terminal and in docs/internals/performance.md."""

from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.report.results import Figure, Results, Row

PLOT = "watchers.svg"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
HEADERS = ("what", "configsvc", "limit", "etcd", "against the limit", "target", "met")
# Wide enough that a pipe gets each row on one line.
PIPE_WIDTH = 300


def show(results: Results) -> None:
    """Prints the table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    table = Table(*HEADERS, title=_title(results), title_justify="left")
    for row in results.rows:
        table.add_row(*_cells(row))
    console.print(table)
    for line in _missing(results):
        console.print(line, markup=False, highlight=False)


def write(results: Results, document: Path) -> None:
    """Puts the table between the two marks of a document. Raises ValueError if they are not there."""
    text = document.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{document} has no {BEGIN} … {END}")
    document.write_text(f"{before}{BEGIN}\n{_markdown(results)}\n{END}{after}", encoding="utf-8")


def _markdown(results: Results) -> str:
    lines = [HEADERS, ("---",) * len(HEADERS), *(_cells(row) for row in results.rows)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    missing = "\n".join(f"- {line}" for line in _missing(results))
    machine = "\n".join(f"- {name}: {value}" for name, value in results.machine.items())
    plot = f"![Latency and memory against the number of watchers]({PLOT})" if results.curves else ""
    return "\n\n".join(filter(None, (f"{_title(results)}.", table, missing, plot, machine)))


def _title(results: Results) -> str:
    kind = " (quick: these figures say nothing)" if results.quick else ""
    return f"{results.taken}, median of {results.repetitions}{kind}"


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
    return "not measured" if figure.median is None else f"{_number(figure.median)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def _compared(row: Row) -> str:
    if row.compared is None or row.by == "value":
        return ""
    return f"{row.compared:+,.2f} {row.unit}" if row.by == "difference" else f"× {row.compared:.2f}"


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    bound = f"{row.target.bound:,g}"
    shown = {"ratio": f"× {bound}", "difference": f"{bound} {row.unit} above", "value": f"{bound} {row.unit}"}[row.by]
    return f"at {row.target.at} {shown}"


def _missing(results: Results) -> list[str]:
    """Why what was not measured was not."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for row in results.rows:
        for column, figure in (("configsvc", row.ours), ("limit", row.limit), ("etcd", row.etcd)):
            if figure.missing:
                places[figure.missing].append(f"{row.title} ({column})")
    failed = [f"failed: {text}" for text in results.failed]
    return failed + [f"not measured, {why}: {'; '.join(of)}" for why, of in places.items()]
