"""The commands of `configsvc sync`."""

from pathlib import Path
from typing import Annotated

import typer

from configsvc.cli.commands import command, group
from configsvc.cli.failures import UsageError
from configsvc.cli.output import say, write
from configsvc.cli.session import Session

app = group()

Directory = Annotated[str, typer.Argument(metavar="DIRECTORY", help="Folder of the tree.", show_default=False)]


@app.callback()
def sync() -> None:
    """Keep configurations as files in Git."""


@command(app, "plan", connects=True)
def plan(
    _session: Session,
    directory: Directory,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check the files without a service: pip install 'configsvc[tools]'.")
    ] = False,
    as_written: Annotated[
        bool, typer.Option("--as-written", help="Keep schemas as they are: do not close objects to other members.")
    ] = False,
) -> None:
    """Show what a tree of files would change.

    With --offline, only check that the service would take its files.
    """
    if not offline:
        raise UsageError("without --offline, this is not there yet")
    check_offline(Path(directory), as_written=as_written)


def check_offline(directory: Path, *, as_written: bool) -> None:
    """Read and check a tree, and say that it is valid. Raises CliError with every fault."""
    from configsvc.cli.sync.checking import check_tree  # noqa: PLC0415
    from configsvc.cli.sync.reading import read_tree  # noqa: PLC0415

    checked = check_tree(read_tree(directory), directory, as_written=as_written)
    if checked.unchecked:
        say(f"not checked, as the schema that they need is on the service alone: {', '.join(checked.unchecked)}")
    write(f"{checked.configurations} configurations and {checked.schemas} schemas are valid")
