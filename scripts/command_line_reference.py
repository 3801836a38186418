"""Write docs/reference/command-line.md from the commands themselves. With --check, fail if it is not fresh."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from configsvc.cli.main import app

TARGET = Path(__file__).parents[1] / "docs" / "reference" / "command-line.md"
HEAD = """# Command line

Generated from the commands by `make command-line-reference`.
[The guide](../guide/command-line.md) has examples, exit codes and the rules that all commands follow.

These options stand below each command as *connection*: `--context NAME`, `--server HOST:PORT`,
`--timeout DURATION` and `--no-input`; and as *change*: `--reason TEXT`, `--change-request TEXT` and
`--dry-run`.
"""
CONNECTION = ("context", "server", "timeout", "no_input")
CHANGE = ("reason", "change_request", "dry_run")


def reference() -> str:
    """Return the whole document."""
    root: Any = typer.main.get_command(app)
    return HEAD + "".join(_sections(root, typer.Context(root, info_name="configsvc"), ("configsvc",)))


def _sections(group: Any, context: Any, path: tuple[str, ...]) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command.hidden:
            continue
        if hasattr(command, "list_commands"):
            yield f"\n## configsvc {name}\n\n{command.help}\n"
            yield from _sections(command, context, (*path, name))
        else:
            yield _section(command, (*path, name))


def _section(command: Any, path: tuple[str, ...]) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    used = [_usage(argument) for argument in arguments]
    # Where options end at the first argument, which is a program.
    words = (
        [*used, "[OPTIONS]"]
        if command.context_settings.get("allow_interspersed_args", True)
        else ["[OPTIONS]", "--", *used]
    )
    usage = " ".join([*path, *words])
    lines = [f"\n{'#' * len(path)} {' '.join(path)}\n", f"\n```\n{usage}\n```\n", _prose(command.help)]
    names = {parameter.name for parameter in options}
    own = [option for option in options if not _is_shared(option, names)]
    rows = [f"| `{argument.metavar or argument.name}` | {argument.help} |" for argument in arguments]
    rows += [f"| `{_flags(option)}` | {option.help} |" for option in own]
    if rows:
        lines.append("\n".join(["", "| argument or option | meaning |", "|---|---|", *rows]) + "\n")
    shared = [kind for kind, names_of in (("change", CHANGE), ("connection", CONNECTION)) if set(names_of) <= names]
    if shared:
        lines.append(f"\nAlso: {', '.join(f'*{kind}*' for kind in shared)}.\n")
    return "".join(lines)


def _is_shared(option: Any, names: set[str]) -> bool:
    return any(option.name in shared and set(shared) <= names for shared in (CONNECTION, CHANGE))


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _flags(option: Any) -> str:
    flags = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return flags
    choices = option.type_descriptor.choices
    value = (option.metavar or "").replace("|", "\\|") or (
        "\\|".join(str(choice.value) for choice in choices) if choices else ""
    )
    return f"{flags} {value or option.type_descriptor.annotation.__name__.upper()}"


def _prose(text: str) -> str:
    return "\n" + "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")) + "\n"


def main() -> None:
    """Write the document, or check it."""
    text = reference()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != text:
        sys.exit(f"{TARGET.name} is not fresh: run make command-line-reference")


if __name__ == "__main__":
    main()
