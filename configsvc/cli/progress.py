"""Progress bars, on a terminal alone."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

Advance = Callable[[int, int | None], None]


@contextmanager
def progress(title: str) -> Generator[Advance]:
    """Show a bar on standard error while the block runs; yield a function that takes what is done and the total."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    # Imported late: only a terminal needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)

        def advance(done: int, total: int | None) -> None:
            bars.update(task, completed=done, total=total)

        yield advance
