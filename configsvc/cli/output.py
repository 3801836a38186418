"""Printing: data on standard output, talk on standard error, colour on a terminal only."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TextIO

from configsvc.cli.documents import pretty_json, yaml_text

_STYLES = {
    "key": "34",
    "string": "32",
    "number": "36",
    "head": "1",
    "added": "32",
    "removed": "31",
    "changed": "33",
    "error": "1;31",
    "hint": "36",
    "faint": "2",
}


class Format(StrEnum):
    """The formats of -o."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    value: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a kind of resource, and its name for -o name."""

    columns: Sequence[Column]
    name: Callable[[Any], str]


def colourful(stream: TextIO) -> bool:
    """Return true if the stream shows colours: a terminal, without NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return the text in a style, if the stream shows colours."""
    return f"\033[{_STYLES[style]}m{text}\033[0m" if colourful(stream or sys.stdout) else text


def say(text: str) -> None:
    """Print a line of talk."""
    print(safe(text), file=sys.stderr)  # noqa: T201


def write(text: str) -> None:
    """Print data."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as 1 file or 2 files."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def safe(text: str) -> str:
    """Return the text without characters that a terminal would obey."""
    return "".join(character if _is_safe(character) else ascii(character)[1:-1] for character in text)


def _is_safe(character: str) -> bool:
    return character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}


def print_document(value: Any, form: Format) -> None:
    """Print a value as JSON or YAML."""
    write(yaml_text(value, paint) if form is Format.YAML else pretty_json(value, paint))


def print_resources(
    messages: Sequence[Any], table: Table, form: Format | None, document: Callable[[Any], Any], *, single: bool = False
) -> None:
    """Print resources in the format: many as an array, a single one as an object."""
    match form or Format.TABLE:
        case Format.TABLE if messages:
            print_table(messages, table.columns)
        case Format.TABLE:
            say("nothing found")
        case Format.NAME:
            for message in messages:
                write(safe(table.name(message)))
        case form:
            values = [document(message) for message in messages]
            print_document(values[0] if single else values, form)


def print_table(messages: Iterable[Any], columns: Sequence[Column]) -> None:
    """Print a table without lines, so that cut and awk can read it."""
    rows = [[column.title for column in columns]]
    rows += [[_cell(column.value(message)) for column in columns] for message in messages]
    widths = [max(map(_width, cells)) for cells in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        line = "   ".join(padded).rstrip()
        write(paint(line, "head") if number == 0 else line)


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, a line each."""
    shown = [(name, _cell(value)) for name, value in pairs]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        write(f"{paint(f'{name}:', 'head')}{' ' * (width - len(name))} {value}")


def _cell(value: object) -> str:
    text = safe(str(value)).replace("\n", "\\n") if value is not None else ""
    return text or "-"


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def print_difference(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines of a difference: + added, - removed, ~ changed."""
    target = stream or sys.stdout
    styles = {"+": "added", "-": "removed", "~": "changed"}
    for line in lines:
        style = styles.get(line[:1])
        target.write((paint(safe(line), style, target) if style else safe(line)) + "\n")
