"""Documents of users: JSON and strict YAML into values, and values into text. Nothing is rounded or guessed: whole
numbers are int, fractions Decimal, and members keep their order.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeGuard

from configsvc.cli.failures import CliError, ExitCode

Json = Any
Paint = Callable[[str, str], str]

# The largest whole number of the API.
MAX_NUMBER = 2**63 - 1

# Control characters that a terminal could obey. JSON escapes those below U+0020 itself.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# A string that YAML readers of any version take for a string.
_PLAIN_YAML = re.compile(r"[A-Za-z_/][\w./@-]*(?: [\w./@-]+)*", re.ASCII)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_PRINTABLE_LINES = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]+")


def _unpainted(text: str, _style: str) -> str:
    return text


def is_object(value: Json) -> TypeGuard[dict[str, Json]]:
    """Return true for an object of JSON."""
    return isinstance(value, dict)


def is_array(value: Json) -> TypeGuard[list[Json]]:
    """Return true for an array of JSON."""
    return isinstance(value, list)


def read_text(source: str) -> str:
    """Return the text of a file; - is standard input. Raises CliError."""
    try:
        if source == "-" and sys.stdin.isatty():
            sys.stderr.write("reading standard input, up to Ctrl-D\n")
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise CliError(f"cannot read {source}: {error.strerror}", ExitCode.USAGE) from None
    except UnicodeDecodeError as error:
        raise CliError(f"{source} is not UTF-8: byte {error.start + 1} cannot be read", ExitCode.INVALID) from None


def parse_document(text: str, source: str) -> Json:
    """Parse JSON or strict YAML. Raises CliError with line and column."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return parse_json(text)
        except ValueError as error:
            if source.endswith(".json"):
                raise _fault_of_json(error, text, source) from None
    # Imported late: JSON needs none of it.
    from configsvc.cli.strict_yaml import parse_yaml  # noqa: PLC0415

    return parse_yaml(text, source)


def parse_json(text: str) -> Json:
    """Parse JSON exactly. Raises ValueError, also for a repeated key, NaN and infinities."""
    try:
        value = json.loads(
            text, parse_float=_fraction, parse_constant=_refuse_constant, object_pairs_hook=_members_without_repetition
        )
        if _ESCAPED_SURROGATE.search(text):
            compact_json(value).encode()
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("half of a pair of surrogates is no character") from None
    return value


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the exponent of {text} is too large") from None


def _refuse_constant(text: str) -> Json:
    raise ValueError(f"{text} is not JSON")


def _members_without_repetition(members: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in members:
        if name in found:
            raise ValueError(f"the key {json.dumps(name, ensure_ascii=False)} stands twice in one object")
        found[name] = value
    return found


def _fault_of_json(error: ValueError, text: str, source: str) -> CliError:
    """Return the faults with their places: the first as the text of the error, the others as its details."""
    # Imported late: only faults need it.
    from configsvc.cli.spans import JsonScanner, place_at  # noqa: PLC0415

    scanner = JsonScanner(text)
    last: list[tuple[int, str]] = []
    try:
        scanner.scan()
    except json.JSONDecodeError as located:
        last = [(located.pos, located.msg)]
    if isinstance(error, json.JSONDecodeError):
        last = [(error.pos, error.msg)]
    found = [f"{source}:{place_at(text, offset)}: {message}" for offset, message in [*scanner.faults, *last]]
    first, *others = found or [f"{source}: {error}"]
    return CliError(first, ExitCode.INVALID, others)


def compact_json(value: Json) -> str:
    """Return JSON text for the service."""
    return "".join(_json(value, "", "", _unpainted))


def pretty_json(value: Json, paint: Paint = _unpainted) -> str:
    """Return indented JSON text for people."""
    return "".join(_json(value, "\n", "  ", paint))


def indented_json(value: Json, line: str, step: str) -> str:
    """Return JSON text whose lines begin as `line` does, a newline with spaces, and grow by `step`."""
    return "".join(_json(value, line, step, _unpainted))


def scalar_text(value: Json) -> str:
    """Return the JSON text of a number, a string, true, false or null."""
    match value:
        case str():
            return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
        case True | False | None:
            return json.dumps(value)
        case _:
            return str(value)


def _json(value: Json, line: str, indent: str, paint: Paint) -> Iterator[str]:
    inner = line + indent
    if is_object(value) and value:
        separator = "{"
        for name, member in value.items():
            yield f"{separator}{inner}{paint(scalar_text(name), 'key')}:{' ' if line else ''}"
            yield from _json(member, inner, indent, paint)
            separator = ","
        yield line + "}"
    elif is_array(value) and value:
        separator = "["
        for element in value:
            yield separator + inner
            yield from _json(element, inner, indent, paint)
            separator = ","
        yield line + "]"
    else:
        yield _leaf(value, scalar_text, paint)


def _leaf(value: Json, string: Callable[[str], str], paint: Paint) -> str:
    match value:
        case dict():
            return "{}"
        case list():
            return "[]"
        case str():
            return paint(string(value), "string")
        case _:
            return paint(scalar_text(value), "number")


def yaml_text(value: Json, paint: Paint = _unpainted) -> str:
    """Return YAML that every reader, strict or not, takes for this value."""
    return "\n".join(_yaml(value, "", paint)) + "\n"


def yaml_lines(value: Json, indent: str = "", step: str = "  ") -> list[str]:
    """Return the lines of YAML, which begin with indent, and grow by step."""
    return list(_yaml(value, indent, _unpainted, step))


def yaml_member(name: str, value: Json, indent: str, step: str) -> list[str]:
    """Return the lines of a member of an object."""
    return list(_entry(f"{indent}{yaml_scalar(name)}:", value, indent, _unpainted, step))


def yaml_element(value: Json, indent: str, step: str) -> list[str]:
    """Return the lines of an element of an array."""
    return list(_element(value, indent, _unpainted, step))


def _yaml(value: Json, indent: str, paint: Paint, step: str = "  ") -> Iterator[str]:
    if is_object(value) and value:
        for name, member in value.items():
            yield from _entry(f"{indent}{paint(yaml_scalar(name), 'key')}:", member, indent, paint, step)
    elif is_array(value) and value:
        for element in value:
            yield from _element(element, indent, paint, step)
    else:
        yield indent + _leaf(value, yaml_scalar, paint)


def _element(element: Json, indent: str, paint: Paint, step: str) -> Iterator[str]:
    if isinstance(element, dict | list) and element:
        # Two columns, however large the step is: the dash and the space.
        first, *others = _yaml(element, indent + "  ", paint, step)
        yield f"{indent}- {first[len(indent) + 2 :]}"
        yield from others
    else:
        yield from _entry(f"{indent}-", element, indent, paint, step)


def _entry(head: str, value: Json, indent: str, paint: Paint, step: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from _yaml(value, indent + step, paint, step)
    elif isinstance(value, str) and fits_a_block(value):
        yield f"{head} |{'' if value.endswith(chr(10)) else '-'}"
        yield from (indent + step + line if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        yield f"{head} {_leaf(value, yaml_scalar, paint)}"


def fits_a_block(text: str) -> bool:
    """Return true for a text of several lines that YAML can hold as they are."""
    lines = text.removesuffix("\n").split("\n")
    return (
        len(lines) > 1
        and bool(lines[0] and lines[-1])
        and not lines[0].startswith(" ")
        and all(not line or (_PRINTABLE_LINES.fullmatch(line) and not line.endswith(" ")) for line in lines)
    )


def yaml_scalar(text: str) -> str:
    """Return a string as YAML in one line: plain if nobody can take it for something else."""
    plain = _PLAIN_YAML.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else scalar_text(text)
