"""The table of two builds side by side."""

from statistics import median

from bench.report.results import Figure, Row, ratios
from bench.report.table import Layout, number, ratio


def _cells(row: Row) -> tuple[str, ...]:
    pairs = ratios(row.ours, row.limit)
    return (
        row.title,
        _figure(row.ours, row.unit),
        _figure(row.limit, row.unit),
        ratio(median(pairs)) if pairs else "",
        f"{ratio(min(pairs))} to {ratio(max(pairs))}" if pairs else "",
    )


def _figure(figure: Figure, unit: str) -> str:
    """Return the median, and half the range of the repetitions in percent of it."""
    if figure.median is None:
        return "not measured"
    spread = (max(figure.samples) - min(figure.samples)) / 2
    percent = f" ± {spread / figure.median:.0%}" if figure.median else ""
    return f"{number(figure.median)} {unit}{percent}"


LAYOUT = Layout(headers=("what", "this build", "the other", "this / other", "in each repetition"), cells=_cells)
