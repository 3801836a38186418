"""The output of the demo: tables on a terminal, plain aligned text in a pipe."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median, quantiles

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from demo.watcher import Sighting

# Wide enough for each event to fit on one line.
PIPE_WIDTH = 240
COLOURS = {"CREATED": "green", "UPDATED": "yellow", "DELETED": "red"}

Sent = Mapping[tuple[int, str], float]


def make_console() -> Console:
    """Return a console on standard output."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH, color_system=None)


def progress_bar(console: Console) -> Progress:
    """Return a progress bar that is visible on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def latency(sighting: Sighting, sent: Sent) -> float | None:
    """Return the seconds from sending a write to the arrival of its event; None for another client's write."""
    moment = sent.get((sighting.change.revision, sighting.resource_id))
    return None if moment is None else sighting.arrived - moment


def show_skipped(console: Console, skipped: Counter[str]) -> None:
    """Print the number of skipped files by reason."""
    for reason, count in skipped.most_common():
        console.print(f"  skipped {count}: {reason}", markup=False, soft_wrap=True)


def show_events(console: Console, title: str, sightings: Sequence[Sighting], sent: Sent, *, rows: int) -> None:
    """Print the first `rows` events."""
    console.print(f"\n{title}")
    if not sightings:
        console.print("  none")
        return
    console.print(_table(sightings[:rows], sent), soft_wrap=not console.is_terminal)
    if len(sightings) > rows:
        console.print(f"  … and {len(sightings) - rows} more")


def _table(sightings: Sequence[Sighting], sent: Sent) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("revision", justify="right")
    table.add_column("type")
    table.add_column("application:name", overflow="fold")
    table.add_column("actor")
    table.add_column("latency", justify="right")
    table.add_column("reason")
    for sighting in sightings:
        table.add_row(*_row(sighting, sent))
    return table


def _row(sighting: Sighting, sent: Sent) -> tuple[Text, ...]:
    change = sighting.change
    return (
        Text(str(change.revision)),
        Text(sighting.kind, style=COLOURS[sighting.kind]),
        Text(f"{sighting.application}:{change.name}"),
        Text(change.actor),
        Text(_milliseconds(latency(sighting, sent))),
        Text(change.reason),
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def show_counts(console: Console, sightings: Sequence[Sighting]) -> None:
    """Print the number of events of each type."""
    counts = Counter(sighting.kind for sighting in sightings)
    shown = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"
    console.print(f"  events    {shown}")


def show_latency(console: Console, sightings: Sequence[Sighting], sent: Sent, *, writes: str) -> None:
    """Print the median and the 99th percentile of `latency`."""
    latencies = [seconds for seconds in (latency(sighting, sent) for sighting in sightings) if seconds is not None]
    if latencies:
        middle, high = _milliseconds(median(latencies)), _milliseconds(_percentile_99(latencies))
        console.print(f"  latency   median {middle}, p99 {high} ({writes})")


def _percentile_99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
