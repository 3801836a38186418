"""Commands with the options that they share, which stand in one place: `command` adds them, and ends the program with
the exit code of an error.
"""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from configsvc.cli.completion import complete_contexts
from configsvc.cli.documents import MAX_NUMBER
from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.output import Format, paint, safe
from configsvc.cli.session import Session

Command = Callable[..., None]

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Parse a duration, such as 30s. Raises typer.BadParameter."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", text)
    if not found or float(found[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no duration: write 500ms, 30s, 2m or 1h")
    return float(found[1]) * _UNITS[found[2]]


_CONNECTION = {
    "context": Annotated[
        str | None,
        typer.Option(help="Context to use. [env: CONFIGSVC_CONTEXT]", metavar="NAME", autocompletion=complete_contexts),
    ],
    "server": Annotated[
        str | None,
        typer.Option(
            help="Address of the service, instead of the context's; https://… for TLS. [env: CONFIGSVC_SERVER]",
            metavar="HOST:PORT",
        ),
    ],
    "timeout": Annotated[
        float | None,
        typer.Option(help="Time limit, such as 2m. Without it, each call has 30s.", metavar="DURATION", parser=seconds),
    ],
    "no_input": Annotated[bool, typer.Option("--no-input", help="Never ask; fail instead.")],
}
_OUTPUT = {
    "output": Annotated[Format | None, typer.Option("--output", "-o", help="Format of the data.")],
}
_CHANGE = {
    "reason": Annotated[str, typer.Option(help="Reason for the change, kept in the history.", metavar="TEXT")],
    "change_request": Annotated[
        str, typer.Option(help="Ticket or commit of the change, kept in the history.", metavar="TEXT")
    ],
    "dry_run": Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")],
}
_DEFAULTS = {"no_input": False, "dry_run": False, "reason": "", "change_request": ""}


def group() -> typer.Typer:
    """Return a group of commands."""
    return typer.Typer(
        rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
    )


def command(
    app: typer.Typer,
    name: str,
    *,
    prints: bool = False,
    changes: bool = False,
    connects: bool = True,
    takes_dashes: bool = False,
    takes_program: bool = False,
) -> Callable[[Command], Command]:
    """Register a function that takes a Session as a command, with the options that its kind has: `prints` adds -o,
    `changes` --reason, --change-request and --dry-run, `connects` those of the connection. With `takes_dashes`,
    arguments may begin with a dash, as -5 does: what is no option is an argument. With `takes_program`, everything
    after the first argument is one.
    """
    shared: dict[str, Any] = {
        **(_OUTPUT if prints else {}),
        **(_CHANGE if changes else {}),
        **(_CONNECTION if connects else {}),
    }

    def register(function: Command) -> Command:
        own = list(inspect.signature(function).parameters.values())[1:]

        def run(**values: Any) -> None:
            options = {key: values.pop(key) for key in shared}
            session = _session(options)
            end_with_exit_code(lambda: _run(function, session, values), session.close)

        added = (
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=_DEFAULTS.get(key))
            for key, kind in shared.items()
        )
        keywords = (parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own)
        cast("Any", run).__signature__ = inspect.Signature([*keywords, *added])
        run.__doc__ = function.__doc__
        app.command(
            name,
            context_settings={
                "ignore_unknown_options": takes_dashes,
                "allow_interspersed_args": not takes_program,
            },
        )(run)
        return function

    return register


def _run(function: Command, session: Session, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, int) and value > MAX_NUMBER:
            raise UsageError(f"{name.replace('_', '-')}: the number {value} is too large")
    function(session, **values)


def _session(options: dict[str, Any]) -> Session:
    timeout = options.pop("timeout", None)
    return Session(timeout_seconds=timeout, **options)


def end_with_exit_code(run: Callable[[], None], close: Callable[[], None] = lambda: None) -> None:
    """Run a command, and translate what ends it. Raises typer.Exit."""
    code = ExitCode.OK
    try:
        try:
            run()
            sys.stdout.flush()
        finally:
            close()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        code = ExitCode.BROKEN_PIPE
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001  # one line, not a traceback
        known = _known(error)
        print_error(known)
        code = known.code
    if code is not ExitCode.OK:
        raise typer.Exit(code) from None


def _known(error: Exception) -> CliError:
    match error:
        case CliError():
            return error
        case OSError():
            _drop_output()
            return CliError(f"cannot read or write {error.filename or 'standard output'}: {error.strerror or error}")
        case UnicodeEncodeError():
            return CliError("a text is not UTF-8, or has half of a pair of surrogates", ExitCode.INVALID)
        case _:
            return _unexpected(error)


def _drop_output() -> None:
    # Python would complain when it flushes at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: CliError) -> None:
    """Print an error: a line, its details, and the hint."""
    reason = f" ({error.reason})" if error.reason else ""
    lines = [f"{paint('error', 'error', sys.stderr)}: {safe(error.text)}{reason}"]
    lines += (f"  {safe(detail)}" for detail in error.details)
    lines += (f"  {key}: {safe(value)}" for key, value in error.metadata.items() if key == "error_id")
    if error.hint:
        lines.append(f"{paint('hint', 'hint', sys.stderr)}: {safe(error.hint)}")
    # The exit code says it, too.
    with suppress(OSError):
        sys.stderr.write("\n".join(lines) + "\n")


def _unexpected(error: Exception) -> CliError:
    if os.environ.get("CONFIGSVC_DEBUG"):
        traceback.print_exception(error)
    return CliError(
        f"a fault of this program: {type(error).__name__}: {error}",
        hint="Report it, with what CONFIGSVC_DEBUG=1 shows.",
    )


def lazily(module: str) -> type[TyperGroup]:
    """Return the class of a group whose commands are imported when one is used."""

    class Group(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            self._load()
            return super().list_commands(ctx)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            self._load()
            return super().get_command(ctx, cmd_name)

        def _load(self) -> None:
            if not self.commands:
                loaded = typer.main.get_group(import_module(module).app)
                self.commands.update(loaded.commands)

    return Group
