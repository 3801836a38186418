"""The command line: `configsvc serve` and `configsvc migrate`."""

import asyncio
import gc
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from pydantic import ValidationError

from configsvc.embedded import EmbeddedPostgresError
from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, migrate_database, migrating_url
from configsvc.process.supervisor import supervise
from configsvc.telemetry.logs import configure_logs

# How many more objects there are than when the garbage collector last looked, before it looks again.
GARBAGE_OBJECTS = 10_000

app = typer.Typer(
    help="A configuration service: versioned JSON over gRPC, kept in PostgreSQL, watched without loss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="postgresql://… of a server to use instead of the embedded one; with a password, better in the variable: "
        "everybody sees command lines. [env: CONFIGSVC_DATABASE_URL]"
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the embedded PostgreSQL keeps its data; default .configsvc. [env: CONFIGSVC_DATA_DIR]"),
]
LogLevel = Annotated[
    str | None, typer.Option(help="debug, info, warning or error; default info. [env: CONFIGSVC_LOG_LEVEL]")
]
LogFormat = Annotated[
    str | None,
    typer.Option(help="json, console, or auto: console on a terminal, json in a pipe. [env: CONFIGSVC_LOG_FORMAT]"),
]


@app.command("serve")
def serve_command(
    listen: Annotated[
        str | None, typer.Option(help="host:port or unix:path; default 127.0.0.1:50051. [env: CONFIGSVC_LISTEN]")
    ] = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that serve the port together, 1 to 64; default 1. [env: CONFIGSVC_WORKERS]"),
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure",
            help="Listen beyond this machine without authentication, or without TLS. [env: CONFIGSVC_INSECURE]",
        ),
    ] = None,
    migrate: Annotated[
        bool | None, typer.Option(help="Bring the database to the newest form first. [env: CONFIGSVC_MIGRATE]")
    ] = None,
    shutdown_grace_seconds: Annotated[
        float | None,
        typer.Option(
            help="How long calls under way may take after SIGTERM; default 10. [env: CONFIGSVC_SHUTDOWN_GRACE_SECONDS]"
        ),
    ] = None,
    history_days: Annotated[
        float | None,
        typer.Option(help="How long everything in the history is kept; default 90. [env: CONFIGSVC_HISTORY_DAYS]"),
    ] = None,
    history_versions: Annotated[
        int | None,
        typer.Option(
            help="How many versions of before then are kept of what lives; default 1. [env: CONFIGSVC_HISTORY_VERSIONS]"
        ),
    ] = None,
    metrics_listen: Annotated[
        str | None, typer.Option(help="host:port for /metrics; unset: none. [env: CONFIGSVC_METRICS_LISTEN]")
    ] = None,
    cache_megabytes: Annotated[
        int | None,
        typer.Option(
            help="Memory for answers of GetConfiguration; default 64, 0 for none. [env: CONFIGSVC_CACHE_MEGABYTES]"
        ),
    ] = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = _settings(
        listen=listen,
        database_url=database_url,
        data_dir=data_dir,
        workers=workers,
        insecure=insecure,
        migrate=migrate,
        shutdown_grace_seconds=shutdown_grace_seconds,
        history_days=history_days,
        history_versions=history_versions,
        metrics_listen=metrics_listen,
        cache_megabytes=cache_megabytes,
        log_level=log_level,
        log_format=log_format,
    )
    if settings.workers > 1:
        _run(supervise(settings))
    else:
        # Imported late: the process that only supervises does without gRPC.
        from configsvc.app.run import serve  # noqa: PLC0415

        _run(serve(settings))


@app.command("worker", hidden=True)
def worker_command(number: int) -> None:
    """Serve as one of the workers of `serve`, which hands its settings over in variables."""
    settings = Settings(**dict[str, Any](_env_file=None))
    configure_logs(settings.log_level, settings.log_format, worker=number)
    from configsvc.process.worker import work  # noqa: PLC0415 - as above

    _run(work(settings, number))


@app.command("migrate")
def migrate_command(
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Bring the database to the newest form, and end."""
    settings = _settings(database_url=database_url, data_dir=data_dir, log_level=log_level, log_format=log_format)
    _run(_migrate(settings))


async def _migrate(settings: Settings) -> None:
    async with migrating_url(settings) as url:
        await migrate_database(settings, url)


@app.command("version")
def version_command() -> None:
    """Print the version."""
    typer.echo(installed_version("configsvc"))


def _settings(**flags: Any) -> Settings:
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in fault["loc"])
            typer.echo(f"configsvc: setting {name}: {fault['msg']}", err=True)
        raise typer.Exit(2) from None
    configure_logs(settings.log_level, settings.log_format)
    return settings


def _run(main: Any) -> None:
    # What is loaded by now stays, and what calls and batches make is mostly gone before it is worth being looked at.
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 10, 10)
    try:
        uvloop.run(main)
    except (StartError, EmbeddedPostgresError) as error:
        typer.echo(f"configsvc: {error}", err=True)
        raise typer.Exit(1) from None
    except ExceptionGroup as group:
        typer.echo(f"configsvc: ended, for a task has died: {_causes(group)}", err=True)
        raise typer.Exit(1) from None
    except asyncio.CancelledError:
        raise typer.Exit(0) from None


def _causes(group: ExceptionGroup[Exception]) -> str:
    # The texts of other errors may quote contents.
    return ", ".join(
        str(error) if isinstance(error, RuntimeError) else type(error).__name__ for error in group.exceptions
    )


def main() -> None:
    """The entry point."""
    app()
