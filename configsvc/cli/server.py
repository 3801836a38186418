"""The commands serve, worker and migrate."""

import asyncio
import gc
import signal
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

import structlog
import typer
import uvloop
from pydantic import ValidationError

from configsvc.process.settings import Settings
from configsvc.process.startup import StartError, migrate_database, migrating_url
from configsvc.process.supervisor import supervise
from configsvc.process.variables import take_empty_variables, warn_of_ineffective_variables
from configsvc.telemetry.logs import configure_logs, trace_of

log = structlog.get_logger()

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
    except UnicodeError:
        _fail("the file .env cannot be read: write it in UTF-8", 2)
    except OSError as error:
        _fail(f"the file .env cannot be read: {error.strerror}", 2)
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
        _fail(str(error), 1)
    except ExceptionGroup as group:
        log.debug("background tasks failed", traces=[trace_of(error) for error in group.exceptions])
        _fail(f"stopped: a background task failed: {_causes(group)}", 1)
    except asyncio.CancelledError:
        raise typer.Exit(0) from None
    except Exception as error:  # noqa: BLE001  # one line, not a traceback, which may quote contents
        log.debug("unexpected error", trace=trace_of(error))
        _fail(f"stopped by an unexpected error, {type(error).__name__}: --log-level debug shows where", 1)


def _fail(text: str, code: int) -> NoReturn:
    # In one line, whatever a library's error says.
    typer.echo(f"configsvc: {' '.join(text.split())}", err=True)
    raise typer.Exit(code) from None


def _causes(group: ExceptionGroup[Exception]) -> str:
    # The texts of other errors may quote contents.
    return ", ".join(
        str(error) if isinstance(error, RuntimeError) else type(error).__name__ for error in group.exceptions
    )
