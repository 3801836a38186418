"""Configurations as environment variables: names come from JSON Pointers, and nothing is replaced silently."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from configsvc.cli.documents import Json, compact_json, is_object
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.keys import pointer_text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OTHER = re.compile(r"[^A-Za-z0-9]", re.ASCII)
# Linux takes no longer text in an environment.
MAX_VARIABLE_BYTES = 128 * 1024
# The system has one limit for variables and arguments together.
ARGUMENTS_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Variables:
    """A configuration whose values are to be variables, and the text that their names begin with."""

    key: str
    prefix: str
    content: Json


def environment_of(
    configurations: list[Variables], inherited: Mapping[bytes, bytes], *, replaces: bool
) -> dict[bytes, bytes]:
    """Return the inherited environment with the values of configurations. Raises CliError that lists every fault."""
    faults: list[str] = []
    sources: dict[str, str] = {}
    values: dict[bytes, bytes] = {}
    for configuration in configurations:
        for parts, value in _leaves(configuration.content, ()):
            name, source = _name(configuration.prefix, parts), f"{configuration.key}{pointer_text(parts)}"
            text = _text(value)
            fault = _fault(name, text, sources)
            if not fault and not replaces and name.encode() in inherited:
                fault = f"would replace {name}, which the environment has: --override allows it"
            if fault:
                faults.append(f"{source} {fault}")
            else:
                sources[name] = source
                values[name.encode()] = text.encode()
    environment = {**inherited, **values}
    size, limit = sum(map(_size, environment.items())), os.sysconf("SC_ARG_MAX") - ARGUMENTS_BYTES
    if size > limit:
        faults.append(f"all variables together have {size // 1024} KiB: at most {limit // 1024} are allowed here")
    if faults:
        raise CliError(
            "these configurations cannot be environment variables",
            ExitCode.INVALID,
            details=faults,
            hint="--prefix TEXT, or --config TEXT=APPLICATION/NAME for one of them, makes other names; "
            "--file PATH takes any content.",
        )
    return environment


def _size(variable: tuple[bytes, bytes]) -> int:
    # With the equals sign, the end of the text, and the pointer to it.
    return sum(map(len, variable)) + 2 + 8


def _leaves(value: Json, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Json]]:
    # The content itself is no value: an empty one has no variables.
    if is_object(value) and (value or not parts):
        for name, member in value.items():
            yield from _leaves(member, (*parts, name))
    else:
        yield parts, value


def _name(prefix: str, parts: tuple[str, ...]) -> str:
    return prefix + "_".join(_capitals(part) for part in parts)


def _capitals(part: str) -> str:
    # Other letters stay, and are refused: some would become those of ASCII.
    return _OTHER.sub("_", part).upper() if part.isascii() else part


def _text(value: Json) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return compact_json(value)


def _fault(name: str, text: str, sources: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        return f"cannot be a variable: {name!r} is no name of one"
    if name in sources:
        return f"would be {name}, as {sources[name]} is"
    if "\0" in text:
        return "cannot be a variable: it has a NUL character"
    if len(text.encode()) + len(name) + 2 > MAX_VARIABLE_BYTES:
        return f"cannot be a variable: it has more than {MAX_VARIABLE_BYTES // 1024} KiB"
    return ""
