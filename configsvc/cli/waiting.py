"""Waiting for operations."""

import time
from typing import TYPE_CHECKING, Any

from configsvc.cli import pb, tables
from configsvc.cli.failures import CliError, ExitCode
from configsvc.cli.output import Format, say, write
from configsvc.cli.progress import progress

if TYPE_CHECKING:
    from configsvc.cli.session import Session

# Between two looks at the progress.
STEP_SECONDS = 1.0
MAX_SHOWN_ITEMS = 20


def submitted(session: "Session", operation: "pb.Operation", *, wait: bool) -> None:
    """Wait for an operation that was just started, or say how to."""
    if wait:
        wait_for_end(session, operation)
        return
    identifier = tables.operation_id(operation)
    say(f"started; `configsvc operation wait {identifier}` waits for its end")
    if session.output in {None, Format.TABLE, Format.NAME}:
        write(identifier)
    else:
        session.print_one(operation, tables.OPERATIONS)


def wait_for_end(session: "Session", operation: "pb.Operation") -> None:
    """Wait for the end of an operation, and print it. Raises CliError if it failed."""
    identifier = tables.operation_id(operation)
    end = None if session.timeout_seconds is None else time.monotonic() + session.timeout_seconds
    try:
        operation = _ended(session, operation, end)
    except KeyboardInterrupt:
        say(f"\nthe operation goes on: `configsvc operation cancel {identifier}` ends it")
        raise
    if session.output is not None:
        session.print_one(operation, tables.OPERATIONS)
    if operation.HasField("error"):
        raise _failure(session, operation)
    say(f"{identifier} succeeded: {_counts(operation)}")
    if tables.metadata_of(operation).failed_count:
        raise CliError(
            "some items failed; the others are written",
            ExitCode.INVALID,
            details=_failed_items(session, operation.name),
            hint=f"`configsvc operation items {identifier} --failed` lists them all.",
        )


def _ended(session: "Session", operation: "pb.Operation", end: float | None) -> "pb.Operation":
    calls = session.connection
    request = pb.WaitOperationRequest(name=operation.name)
    with progress("running") as advance:
        while not operation.done:
            if end is not None and time.monotonic() > end:
                raise CliError(
                    f"the operation has not ended in time: {tables.progress_text(operation)}",
                    ExitCode.UNAVAILABLE,
                    hint=f"It goes on: `configsvc operation wait {tables.operation_id(operation)}`.",
                )
            left = STEP_SECONDS if end is None else min(STEP_SECONDS, max(end - time.monotonic(), 0.1))
            request.timeout.FromMilliseconds(round(1000 * left))
            calls.extend()
            operation = calls.call(calls.operations.WaitOperation, request)
            metadata = tables.metadata_of(operation)
            advance(metadata.done_count, metadata.total_count)
    return operation


def _counts(operation: "pb.Operation") -> str:
    for kind in (pb.ImportConfigurationsResult, pb.MigrateConfigurationsResult):
        result: Any = kind()
        if operation.response.Unpack(result):
            names = ("created", "updated", "unchanged", "failed")
            counts = ((name, getattr(result, f"{name}_count", 0)) for name in names)
            return ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing to do"
    return "done"


def _failure(session: "Session", operation: "pb.Operation") -> CliError:
    from configsvc.cli.connection import failure_of_status  # noqa: PLC0415

    failure = failure_of_status(operation.error)
    identifier = tables.operation_id(operation)
    failure.hint = failure.hint.replace(" ID", f" {identifier}")
    if failure.reason == "ITEMS_FAILED":
        failure.details += _failed_items(session, operation.name)
    if any(line.endswith(" already exists") for line in failure.details):
        failure.hint += " --replace replaces what exists."
    return failure


def _failed_items(session: "Session", operation: str) -> list[str]:
    from configsvc.cli.connection import readable  # noqa: PLC0415

    calls = session.connection
    request = pb.ListOperationItemsRequest(operation=operation, failed_only=True, page_size=MAX_SHOWN_ITEMS)
    answer = calls.call(calls.items.ListOperationItems, request)
    lines = [readable(line) for item in answer.items for line in item_lines(item)]
    return lines + (["… and more"] if answer.next_page_token else [])


def item_lines(item: "pb.OperationItem") -> list[str]:
    """Return the error of an item and its faults, a line each."""
    faults = (f"  {fault.pointer or 'the content'}: {fault.message}" for fault in item.faults)
    return [f"item {item.index}, {item.application}/{item.name}: {item.error.message}", *faults]
