"""Logs on standard error: JSON in a pipe, readable text on a terminal."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Literal

import structlog

from configsvc.telemetry.stderr import StandardError


def configure_logs(level: str, form: Literal["auto", "json", "console"], **fields: object) -> None:
    """Set up the logs of this process, with `fields` in every line. To be called before gRPC is imported."""
    # gRPC itself writes a line to standard error for each bad handshake, with a name of the client's choice: anyone
    # could flood or forge the log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    readable = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer()

    def with_fields(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**fields, **event}

    processors: list[structlog.typing.Processor] = [
        with_fields,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if readable:
        # JSON escapes everything beyond ASCII; a terminal must not be told by a caller's name what to show.
        processors.append(_without_invisible_characters)
    else:
        # The terminal's renderer formats tracebacks itself.
        processors.append(structlog.processors.format_exc_info)
    processors.append(renderer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    if isinstance(sys.stderr, StandardError):
        sys.stderr.notice = _loss_notice(processors)


def _loss_notice(processors: Sequence[structlog.typing.Processor]) -> Callable[[int], str]:
    """Return a function that renders the line about lost lines, whatever the log level."""
    rendered = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
    )
    return lambda lines: f"{rendered.warning('log lines lost: standard error could not be written', lines=lines)}\n"


def _without_invisible_characters(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {name: escaped(value) if isinstance(value, str) else value for name, value in event.items()}


def escaped(text: str) -> str:
    """Return a text in which invisible characters, which may reorder or hide others, are written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def trace_of(error: BaseException) -> list[str]:
    """Return the types and source lines of an error and its causes. Leaves out messages, which may quote contents."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None:
        lines.append(type(current).__name__)
        for frame, line in traceback.walk_tb(current.__traceback__):
            lines.append(f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}")
        current = current.__cause__ or current.__context__
    return lines
