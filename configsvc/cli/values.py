"""The commands that change one value of a configuration."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from configsvc.cli import options
from configsvc.cli.commands import command
from configsvc.cli.configurations import app, fetch, update
from configsvc.cli.documents import Json, compact_json, parse_json
from configsvc.cli.failures import CliError, UsageError
from configsvc.cli.keys import pointer_of, with_value, without_value
from configsvc.cli.session import Session

# A change that somebody else's overtook is tried again on top of it.
MAX_OVERTAKEN = 5


@command(app, "set", prints=True, changes=True, takes_dashes=True)
def set_(
    session: Session,
    key: options.Key,
    path: Annotated[str, typer.Argument(metavar="PATH", help="JSON Pointer, such as /limits/rate.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON, or YAML in one line.")],
    string: Annotated[bool, typer.Option("--string", help="Take VALUE as text, whatever it looks like.")] = False,
) -> None:
    """Set one value of a configuration.

    Objects on the way to it are made.
    """
    for given in (key, path, value):
        if given.startswith("--"):
            raise UsageError(f"there is no option {given}", "A value that begins with two dashes goes after --.")
    parts = pointer_of(path)
    new = value if string else _value(value)
    _change_content(session, key, lambda content: with_value(content, parts, new, key))


def _value(text: str) -> Json:
    # Imported late: JSON needs none of it.
    from configsvc.cli.strict_yaml import parse_yaml_line  # noqa: PLC0415

    if not text:
        return ""
    with suppress(ValueError):
        return parse_json(text)
    try:
        return parse_yaml_line(text, "VALUE")
    except CliError as error:
        error.hint = "--string takes VALUE as text."
        raise


@command(app, "unset", prints=True, changes=True)
def unset(
    session: Session,
    key: options.Key,
    path: Annotated[str, typer.Argument(metavar="PATH", help="JSON Pointer, such as /limits/rate.")],
) -> None:
    """Remove one value of a configuration."""
    parts = pointer_of(path)
    _change_content(session, key, lambda content: without_value(content, parts, key))


def _change_content(session: Session, key: str, change: Callable[[Json], Json]) -> None:
    """Write a change of the content on top of the version that was read, and again if that was overtaken."""
    for attempt in range(1, MAX_OVERTAKEN + 1):
        found = fetch(session, key)
        content = change(parse_json(found.config_json))
        try:
            update(session, key, {"config_json": compact_json(content)}, ["config"], expected_version=found.version)
        except CliError as error:
            if error.reason != "VERSION_MISMATCH" or attempt == MAX_OVERTAKEN:
                raise
        else:
            return
