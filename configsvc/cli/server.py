"""The commands serve, worker and migrate."""

import asyncio
import gc
import signal
from collections.abc import Coroutine, Sequence
from typing import Any

import typer
import uvloop
from pydantic import ValidationError

from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, migrate_database, migrating_url
from configsvc.process.supervisor import supervise
from configsvc.process.variables import take_empty_variables, warn_of_ineffective_variables
from configsvc.telemetry.logs import configure_logs

# Growth in objects after which the garbage collector runs.
GARBAGE_OBJECTS = 10_000

# The late imports below keep gRPC out of the process that only supervises.


def serve(**flags: object) -> None:
    """Serve with the settings of the flags and of the environment, in one process or several. Raises typer.Exit."""
    settings = _settings(flags)
    if settings.workers > 1:
        _run(supervise(settings))
    else:
        from configsvc.app.run import serve as serve_alone  # noqa: PLC0415

        _run(serve_alone(settings))


def worker(number: int, ignored_signals: Sequence[str]) -> None:
    """Serve as one of the supervisor's workers. Raises typer.Exit."""
    for name in ignored_signals:
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    settings = Settings(**dict[str, Any](_env_file=None))
    configure_logs(settings.log_level, settings.log_format, worker=number)
    from configsvc.app.run import run_service  # noqa: PLC0415
    from configsvc.process.worker import work  # noqa: PLC0415

    _run(work(settings, number, run_service))


def migrate(**flags: object) -> None:
    """Run pending migrations. Raises typer.Exit."""
    _run(_migrate(_settings(flags)))


async def _migrate(settings: Settings) -> None:
    async with migrating_url(settings) as url:
        await migrate_database(settings, url)


def _settings(flags: dict[str, Any]) -> Settings:
    for name in (name for name, value in flags.items() if value == ""):
        flag = f"--{name.replace('_', '-')}"
        typer.echo(f"configsvc: {flag} is empty: give it a value, or leave it out", err=True)
        raise typer.Exit(2)
    empty = take_empty_variables()
    try:
        settings = Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in fault["loc"])
            typer.echo(f"configsvc: setting {name}: {_message(fault['msg'])}", err=True)
        raise typer.Exit(2) from None
    configure_logs(settings.log_level, settings.log_format)
    warn_of_ineffective_variables(empty)
    return settings


def _message(text: str) -> str:
    # pydantic's own words before the message of a validator.
    return text.removeprefix("Value error, ")


def _run(main: Coroutine[Any, Any, None]) -> None:
    # The collector need not look at modules that stay, nor often at objects that calls and batches soon drop.
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 10, 10)
    try:
        uvloop.run(main)
    except StartError as error:
        typer.echo(f"configsvc: {error}", err=True)
        raise typer.Exit(1) from None
    except ExceptionGroup as group:
        typer.echo(f"configsvc: stopped: a background task failed: {_causes(group)}", err=True)
        raise typer.Exit(1) from None
    except asyncio.CancelledError:
        raise typer.Exit(0) from None


def _causes(group: ExceptionGroup[Exception]) -> str:
    # The texts of other errors may quote contents.
    return ", ".join(
        str(error) if isinstance(error, RuntimeError) else type(error).__name__ for error in group.exceptions
    )
