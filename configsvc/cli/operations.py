"""The commands of operations."""

from typing import Annotated

import typer

from configsvc.cli import pb, tables
from configsvc.cli.commands import command, group
from configsvc.cli.options import Limit
from configsvc.cli.output import say
from configsvc.cli.session import Session, pages
from configsvc.cli.waiting import wait_for_end

app = group()

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the operation.")]


def _name(identifier: str) -> str:
    return f"operations/{identifier.removeprefix('operations/')}"


@command(app, "list", prints=True)
def list_(session: Session, limit: Limit = None) -> None:
    """List operations: yours, or all for an admin."""
    calls = session.connection
    request = pb.ListOperationsRequest(name="operations")
    found = pages(lambda page: calls.call(calls.operations.ListOperations, page), request, "operations", limit)
    session.print_many(found, tables.OPERATIONS)


@command(app, "get", prints=True)
def get(session: Session, identifier: Id) -> None:
    """Print an operation."""
    session.print_one(_get(session, identifier), tables.OPERATIONS)


def _get(session: Session, identifier: str) -> "pb.Operation":
    calls = session.connection
    return calls.call(calls.operations.GetOperation, pb.GetOperationRequest(name=_name(identifier)))


@command(app, "wait", prints=True)
def wait(session: Session, identifier: Id) -> None:
    """Wait for the end of an operation; fail if it failed."""
    wait_for_end(session, _get(session, identifier))


@command(app, "items", prints=True)
def items(
    session: Session,
    identifier: Id,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Limit = None,
) -> None:
    """List the outcome of each item of an operation."""
    calls = session.connection
    request = pb.ListOperationItemsRequest(
        operation=_name(identifier), failed_only=failed, format=pb.CONTENT_FORMAT_JSON
    )
    found = pages(lambda page: calls.call(calls.items.ListOperationItems, page), request, "items", limit)
    session.print_many(found, tables.ITEMS)


@command(app, "cancel")
def cancel(session: Session, identifier: Id) -> None:
    """Ask an operation to end. What it has committed stays."""
    calls = session.connection
    calls.call(calls.operations.CancelOperation, pb.CancelOperationRequest(name=_name(identifier)))
    say(f"asked {identifier} to end")


@command(app, "delete")
def delete(session: Session, identifier: Id) -> None:
    """Delete an operation that has ended, with its items."""
    calls = session.connection
    calls.call(calls.operations.DeleteOperation, pb.DeleteOperationRequest(name=_name(identifier)))
    say(f"deleted {identifier}")
