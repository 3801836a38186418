"""The commands that bring configurations to other programs: their options. What they do is imported when one runs."""

from enum import StrEnum
from importlib import import_module
from typing import Annotated

import typer

from configsvc.cli.commands import command, seconds
from configsvc.cli.completion import complete_keys, complete_targets
from configsvc.cli.failures import CliError
from configsvc.cli.session import Session


class OnChange(StrEnum):
    """The effect of a change on a program."""

    RESTART = "restart"
    SIGNAL = "signal"
    EXIT = "exit"
    IGNORE = "ignore"


class FileFormat(StrEnum):
    """The formats of a file with configurations."""

    JSON = "json"
    YAML = "yaml"


class Target(StrEnum):
    """The kinds of things that have an address."""

    APP = "app"
    CONFIG = "config"


QuietPeriod = Annotated[
    float,
    typer.Option(
        metavar="DURATION",
        parser=seconds,
        help="Act once no further change has come for this long; after ten times as long in any case.",
    ),
]


def add_tools(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "exec", takes_program=True)(exec_command)
    command(app, "render")(render_command)
    command(app, "open")(open_command)


def exec_command(
    session: Session,
    program: Annotated[
        list[str], typer.Argument(metavar="PROGRAM", help="Program and its arguments, after --.", show_default=False)
    ],
    config: Annotated[
        list[str],
        typer.Option(
            metavar="[TEXT=]APPLICATION/NAME",
            help="Configuration to run it with; may be repeated. Names of its variables begin with TEXT.",
            autocompletion=complete_keys,
        ),
    ],
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Text that names of variables begin with.")] = "",
    override: Annotated[
        bool, typer.Option("--override", help="Replace variables that the environment has; otherwise they are faults.")
    ] = False,
    file: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Write the content to this file, whose path is in CONFIGSVC_FILE, instead."),
    ] = None,
    format_: Annotated[
        FileFormat | None, typer.Option("--format", help="Format of the file; by default, as its name ends.")
    ] = None,
    on_change: Annotated[OnChange, typer.Option(help="What to do with the program after a change.")] = OnChange.RESTART,
    signal: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Signal for --on-change signal; SIGHUP by default.", show_default=False),
    ] = None,
    stop_timeout: Annotated[
        float,
        typer.Option(metavar="DURATION", parser=seconds, help="Time to end after SIGTERM; then it is killed."),
    ] = "10s",  # pyright: ignore[reportArgumentType]  # the parser takes it
    quiet_period: QuietPeriod = "1s",  # pyright: ignore[reportArgumentType]
    disk_copy: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Keep a copy there, and start from it if the service does not respond."),
    ] = None,
) -> None:
    """Run a program with configurations, and follow changes.

    They are environment variables, or a file. The program starts when all of them are there; --timeout limits the wait,
    30s by default. The exit code is that of the program, or 128 and the number of the signal that ended it.
    """
    # Before what does the work is imported, which fails on other systems.
    system = import_module("platform").system()
    if system != "Linux":
        raise CliError(
            f"exec works on Linux only, and this is {'macOS' if system == 'Darwin' else system}",
            hint="`configsvc config get APPLICATION/NAME` prints a content everywhere, for a program to read.",
        )
    import_module("configsvc.cli.executing").run(
        session,
        program,
        configurations=config,
        prefix=prefix,
        override=override,
        file=file,
        file_format=format_,
        on_change=on_change,
        signal_name=signal,
        stop_seconds=stop_timeout,
        quiet_seconds=quiet_period,
        disk_copy=disk_copy,
    )


def render_command(
    session: Session,
    template: Annotated[list[str], typer.Argument(metavar="TEMPLATE", help="Template of Jinja2.", show_default=False)],
    output: Annotated[
        list[str],
        typer.Option("--output", "-o", metavar="FILE", help="File to write, one for each template; - prints."),
    ],
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="APPLICATION/NAME",
            help="Configuration to use, beside those that the templates name; may be repeated.",
            autocompletion=complete_keys,
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="Mode of new files; one that exists keeps its own.")
    ] = "600",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing, show the differences, and exit with 2 if there are any.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Render again after each change, until Ctrl-C.")] = False,
    quiet_period: QuietPeriod = "1s",  # pyright: ignore[reportArgumentType]
    exec_: Annotated[
        str | None, typer.Option("--exec", metavar="COMMAND", help="Command to run when a file has changed.")
    ] = None,
    shell: Annotated[bool, typer.Option("--shell", help="Let a shell run the command.")] = False,
    exec_timeout: Annotated[
        float, typer.Option(metavar="DURATION", parser=seconds, help="Time limit of the command.")
    ] = "1m",  # pyright: ignore[reportArgumentType]
) -> None:
    """Write files from templates and configurations.

    In a template, configs["payments/limits"].rate is a value. A file is replaced as a whole, and only if its content
    changes. --timeout limits the wait for the service.
    """
    import_module("configsvc.cli.rendering").run(
        session,
        templates=template,
        outputs=output,
        configurations=config or [],
        mode=mode,
        check=check,
        watch=watch,
        quiet_seconds=quiet_period,
        command=exec_,
        shell=shell,
        command_seconds=exec_timeout,
    )


def open_command(
    session: Session,
    kind: Annotated[Target | None, typer.Argument(metavar="KIND", help="app or config.", show_default=False)] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="APPLICATION, or APPLICATION/NAME.",
            autocompletion=complete_targets,
            show_default=False,
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of the service over HTTP, instead of the context's."),
    ] = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the address and open nothing.")] = False,
) -> None:
    """Open the console of the service in a browser: its first screen, an application or a configuration.

    The context knows where the service is over HTTP (`context set --http`).
    """
    import_module("configsvc.cli.opening").run(session, kind, name, http=http, only_prints=print_)
