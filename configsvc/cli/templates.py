"""Templates of Jinja2: what they may use, and the process that renders them, which can be ended.

`python -m configsvc.cli.templates` reads a `Task` as JSON from standard input, and writes an `Outcome` as JSON.
"""

import base64
import json
import resource
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import BuiltinMethodType, TracebackType
from typing import Any, TypedDict, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError, Undefined
from jinja2.meta import find_referenced_templates
from jinja2.nodes import Const, Getitem, Name
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from configsvc.cli.documents import compact_json, parse_json, pretty_json, yaml_text

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
MAX_MEMORY_BYTES = 1024 * 1024 * 1024
_BEGINNING = "configs"


class Task(TypedDict):
    """The templates to render, and the configurations: their JSON texts and versions, by key."""

    templates: list[str]
    contents: dict[str, str]
    versions: dict[str, int]


class Outcome(TypedDict, total=False):
    """The texts of the templates; or a fault, with the template and the line."""

    texts: list[str]
    fault: str


class TemplateFaultError(Exception):
    """A fault of a template, with its place."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, in which exact numbers and those of a template can be calculated with."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an operator, of fractions as they are written."""
        if isinstance(left, Decimal) and isinstance(right, float):
            right = Decimal(str(right))
        elif isinstance(left, float) and isinstance(right, Decimal):
            left = Decimal(str(left))
        return super().call_binop(context, operator, left, right)


def _environment(template: Path) -> Environment:
    environment = _Sandbox(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        finalize=_printed,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def _tojson(value: Any, *, indent: bool = False) -> str:
    return pretty_json(_value(value)) if indent else compact_json(_value(value))


def _toyaml(value: Any) -> str:
    return yaml_text(_value(value)).removesuffix("\n")


def _b64encode(value: Any) -> str:
    return base64.b64encode(_text(value).encode()).decode()


def _b64decode(value: Any) -> str:
    return base64.b64decode(_text(value), validate=True).decode()


def _quote(value: Any) -> str:
    return shlex.quote(_text(value))


_FILTERS: dict[str, Any] = {
    "tojson": _tojson,
    "toyaml": _toyaml,
    "b64encode": _b64encode,
    "b64decode": _b64decode,
    "quote": _quote,
}


def _text(value: Any) -> str:
    return str(_printed(value))


def _printed(value: Any) -> str:
    """Return what stands in the output for a value: JSON for everything but texts."""
    return value if isinstance(value, str) else compact_json(_value(value))


def _value(value: Any) -> Any:
    """Return a value of JSON; a tuple as a list. Raises TypeError for anything else: its text could tell of memory."""
    match value:
        case None | bool() | int() | float() | Decimal() | str():
            return value
        case Undefined():
            # Raises its error.
            return str(value)
        case dict():
            return {_member_name(name): _value(member) for name, member in cast("dict[Any, Any]", value).items()}
        case list() | tuple():
            return [_value(element) for element in cast("list[Any]", value)]
        case BuiltinMethodType():
            raise TypeError(f'{value.__name__} is a method: a member of this name is ["{value.__name__}"]')
        case _:
            raise TypeError(f"a {type(value).__name__} is no value of JSON; the filter `list` makes a list of it")


def _member_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no name of a member: names are texts")
    return name


def keys_of(template: Path) -> set[str]:
    """Return the keys that a template names, and those that it includes: configs["payments/limits"].

    Raises TemplateFaultError.
    """
    environment = _environment(template)
    found, names, seen = set[str](), [template.name], set[str]()
    while names:
        name = names.pop()
        seen.add(name)
        tree = _tree(environment, template, name)
        if tree is not None:
            found |= {key for node in tree.find_all(Getitem) for key in _key(node)}
            names += [other for other in find_referenced_templates(tree) if other is not None and other not in seen]
    return found


def _tree(environment: Environment, template: Path, name: str) -> Any:
    assert environment.loader
    try:
        source, file, _ = environment.loader.get_source(environment, name)
        return environment.parse(source, name, file)
    except TemplateNotFound:
        # It may be left out, or missing: rendering tells.
        return None
    except (TemplateSyntaxError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise TemplateFaultError(_described(error, template)) from None


def _key(node: Getitem) -> list[str]:
    if isinstance(node.node, Name) and node.node.name == _BEGINNING and isinstance(node.arg, Const):
        value: object = node.arg.value
        return [value] if isinstance(value, str) else []
    return []


def _described(error: BaseException, template: Path) -> str:
    return f"{_place(error, template)}: {_cause(error)}"


def _cause(error: BaseException) -> str:
    match error:
        case MemoryError():
            return f"the template needs more than {MAX_MEMORY_BYTES // 2**20} MiB of memory"
        case RecursionError():
            return "the template is nested too deeply"
        case TemplateNotFound():
            return f"there is no template {error.name}"
        case TemplateSyntaxError():
            return str(error.message)
        case _:
            return str(error) or type(error).__name__


def _place(error: BaseException, template: Path) -> str:
    """Return the file and the line of a template where an error arose."""
    if isinstance(error, TemplateSyntaxError):
        return f"{error.filename or template}:{error.lineno}"
    # Jinja2 gives frames of templates the names and lines of their files.
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in _frames(error.__traceback__)
        if "__jinja_exception__" in frame.f_globals
    ]
    return places[-1] if places else str(template)


def _frames(trace: TracebackType | None) -> list[tuple[Any, int]]:
    found: list[tuple[Any, int]] = []
    while trace:
        found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def rendered(template: Path, contents: Mapping[str, Any], versions: Mapping[str, int], limit: int) -> str:
    """Return the text of a template, of so many bytes at most. Raises TemplateFaultError."""
    parts: list[str] = []
    size = 0
    try:
        loaded = _environment(template).get_template(template.name)
        for part in loaded.generate(configs=contents, versions=versions):
            size += len(part.encode())
            if size > limit:
                break
            parts.append(part)
        else:
            return "".join(parts)
    except Exception as error:  # noqa: BLE001  # whatever an expression of the template raises
        raise TemplateFaultError(_described(error, template)) from None
    raise TemplateFaultError(f"{template}: the output has more than {limit // 2**20} MiB")


def outcome_of(task: Task) -> Outcome:
    """Return the texts of all templates, or the first fault."""
    contents = {key: parse_json(text) for key, text in task["contents"].items()}
    texts: list[str] = []
    for template in task["templates"]:
        limit = MAX_OUTPUT_BYTES - sum(len(text.encode()) for text in texts)
        try:
            texts.append(rendered(Path(template), contents, task["versions"], limit))
        except TemplateFaultError as error:
            return Outcome(fault=str(error))
    return Outcome(texts=texts)


def main() -> None:
    """Do the task of standard input."""
    task: Task = json.load(sys.stdin)
    # macOS refuses it.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    json.dump(outcome_of(task), sys.stdout)


if __name__ == "__main__":
    main()
