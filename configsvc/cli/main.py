"""The entry point. It imports nothing of the server, which need not be installed, and nothing of a command before it
runs.
"""

import importlib
import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from configsvc.cli.commands import command, lazily
from configsvc.cli.session import Session
from configsvc.cli.tools import add_tools

if TYPE_CHECKING:
    from io import TextIOWrapper


class Commands(TyperGroup):
    """The commands, those that most people need first."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*GROUPS, *(name for name in super().list_commands(ctx) if name not in GROUPS)]


app = typer.Typer(
    help="A configuration service: versioned JSON over gRPC, stored in PostgreSQL, with lossless watches.",
    epilog="`configsvc context set NAME --server HOST:PORT` says where the service is; localhost:50051 otherwise.",
    no_args_is_help=True,
    # Its markup would swallow what stands in brackets.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="postgresql://… of a server to use instead of the embedded one. Set a URL with a password in the "
        "variable instead: command lines are visible to everyone. [env: CONFIGSVC_DATABASE_URL]"
    ),
]
DataDir = Annotated[
    # Not a Path, which would take an empty text for the working folder.
    str | None,
    typer.Option(
        metavar="PATH", help="Data folder of the embedded PostgreSQL; default .configsvc. [env: CONFIGSVC_DATA_DIR]"
    ),
]
LogLevel = Annotated[
    str | None, typer.Option(help="Log level: debug, info, warning or error; default info. [env: CONFIGSVC_LOG_LEVEL]")
]
LogFormat = Annotated[
    str | None,
    typer.Option(
        help="Log format: json, console, or auto: console on a terminal, else json. [env: CONFIGSVC_LOG_FORMAT]"
    ),
]

GROUPS = {
    "config": ("configsvc.cli.config_group", "Configurations: read, change, watch and compare them."),
    "app": ("configsvc.cli.applications", "Applications, the owners of configurations."),
    "schema": ("configsvc.cli.schemas", "Schemas, which configurations must satisfy."),
    "access": ("configsvc.cli.access", "Roles of users, groups and certificates."),
    "audit": ("configsvc.cli.audit", "The audit trail: who changed what, when, and why."),
    "operation": ("configsvc.cli.operations", "Imports and migrations in the background."),
    "sync": ("configsvc.cli.sync.sync_group", "Git as the source: trees of files, checked, planned and applied."),
    "context": ("configsvc.cli.contexts_group", "Services to talk to, and credentials for them."),
}
for name, (module, text) in GROUPS.items():
    app.add_typer(typer.Typer(cls=lazily(module), no_args_is_help=True, rich_markup_mode=None), name=name, help=text)


@app.callback(invoke_without_command=True)
def configsvc(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Serve configurations, or work with a service."""
    if version:
        version_command()
        raise typer.Exit


@command(app, "status", prints=True)
def status_command(session: Session) -> None:
    """Show the server's version, and how fresh its data is."""
    importlib.import_module("configsvc.cli.about").print_status(session)


@command(app, "whoami", prints=True)
def whoami_command(session: Session) -> None:
    """Show who the service takes you for, and your roles."""
    importlib.import_module("configsvc.cli.about").print_caller(session)


add_tools(app)


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command("completion")
def completion_command(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.", show_default=False)]) -> None:
    """Print a script for completion in a shell.

    In ~/.bashrc: source <(configsvc completion bash). In ~/.zshrc: source <(configsvc completion zsh).
    For fish: configsvc completion fish >~/.config/fish/completions/configsvc.fish.
    """
    typer.echo(importlib.import_module("configsvc.cli.shells").script(shell))


@app.command("serve")
def serve_command(
    listen: Annotated[
        str | None,
        typer.Option(help="Address: host:port or unix:path; default 127.0.0.1:50051. [env: CONFIGSVC_LISTEN]"),
    ] = None,
    http_listen: Annotated[
        str | None,
        typer.Option(help="Address of the API over HTTP: host:port; default none. [env: CONFIGSVC_HTTP_LISTEN]"),
    ] = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of processes that share the port, 1 to 64; default 1. [env: CONFIGSVC_WORKERS]"),
    ] = None,
    transport: Annotated[
        str | None,
        typer.Option(help="What carries gRPC: grpcio or ngh2; default grpcio. [env: CONFIGSVC_TRANSPORT]"),
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure",
            help="Allow listening beyond this machine without authentication or without TLS. [env: CONFIGSVC_INSECURE]",
        ),
    ] = None,
    migrate: Annotated[
        bool | None,
        typer.Option(help="Run pending database migrations before serving; default yes. [env: CONFIGSVC_MIGRATE]"),
    ] = None,
    drain_delay_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds after SIGTERM in which health is NOT_SERVING and calls are still served; default 0. "
            "[env: CONFIGSVC_DRAIN_DELAY_SECONDS]"
        ),
    ] = None,
    shutdown_grace_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds that calls may take to end after SIGTERM; default 10. [env: CONFIGSVC_SHUTDOWN_GRACE_SECONDS]"
        ),
    ] = None,
    history_days: Annotated[
        float | None,
        typer.Option(help="Days to keep the whole history; default 90. [env: CONFIGSVC_HISTORY_DAYS]"),
    ] = None,
    history_versions: Annotated[
        int | None,
        typer.Option(
            help="Versions of each live resource to keep, however old; default 1. [env: CONFIGSVC_HISTORY_VERSIONS]"
        ),
    ] = None,
    metrics_listen: Annotated[
        str | None,
        typer.Option(help="Address of /metrics: host:port; default none. [env: CONFIGSVC_METRICS_LISTEN]"),
    ] = None,
    cache_megabytes: Annotated[
        int | None,
        typer.Option(
            help="Cache for responses of GetConfiguration, in MiB; default 64, 0 for none. "
            "[env: CONFIGSVC_CACHE_MEGABYTES]"
        ),
    ] = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    _server().serve(
        listen=listen,
        http_listen=http_listen,
        database_url=database_url,
        data_dir=data_dir,
        workers=workers,
        transport=transport,
        insecure=insecure,
        migrate=migrate,
        drain_delay_seconds=drain_delay_seconds,
        shutdown_grace_seconds=shutdown_grace_seconds,
        history_days=history_days,
        history_versions=history_versions,
        metrics_listen=metrics_listen,
        cache_megabytes=cache_megabytes,
        log_level=log_level,
        log_format=log_format,
    )


@app.command("worker", hidden=True)
def worker_command(
    number: int, ignore: Annotated[list[str] | None, typer.Option(help="Signal to ignore.")] = None
) -> None:
    """Serve as one worker of `serve`, which passes its settings in environment variables."""
    _server().worker(number, ignore or ())


@app.command("migrate")
def migrate_command(
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run pending database migrations."""
    _server().migrate(database_url=database_url, data_dir=data_dir, log_level=log_level, log_format=log_format)


@app.command("version")
def version_command() -> None:
    """Print the version."""
    from importlib.metadata import version  # noqa: PLC0415

    typer.echo(version("configsvc"))


def _server() -> Any:
    _prepare_process()
    # Not an import statement: this module must not depend on the server.
    try:
        return importlib.import_module("configsvc.cli.server")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("configsvc"):
            raise
        typer.echo(
            f"configsvc: the server is not installed (no module {error.name}): pip install 'configsvc[server]'",
            err=True,
        )
        raise typer.Exit(1) from None


def _prepare_process() -> None:
    # Imported late, as the commands for clients need none of it, but before the server, whose modules may open files or
    # keep sys.stderr.
    from configsvc.process.descriptors import open_standard_descriptors, raise_descriptor_limit  # noqa: PLC0415
    from configsvc.telemetry.stderr import install_standard_error  # noqa: PLC0415

    open_standard_descriptors()
    raise_descriptor_limit()
    install_standard_error()


def _open_closed_streams() -> None:
    streams = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
    if all(getattr(sys, name) is not None for name, _ in streams):
        return
    from configsvc.process.descriptors import open_standard_descriptors  # noqa: PLC0415

    open_standard_descriptors()
    for descriptor, (name, mode) in enumerate(streams):
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def main() -> None:
    """Run the command line."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its number.
        cast("TextIOWrapper", stream).reconfigure(errors="backslashreplace")
    if "_CONFIGSVC_COMPLETE" in os.environ:
        importlib.import_module("configsvc.cli.shells").prepare_completion()
    app(prog_name="configsvc")
