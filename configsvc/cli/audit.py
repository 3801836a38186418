"""The command of the audit trail."""

from enum import StrEnum
from typing import Annotated

import typer

from configsvc.cli import options, pb, tables
from configsvc.cli.commands import command, group
from configsvc.cli.keys import timestamp_of
from configsvc.cli.output import say
from configsvc.cli.session import Session, pages

app = group()

DEFAULT_LIMIT = 50


@app.callback()
def audit() -> None:
    """Keep `list` a command of its own: a group with one command would be that command."""


class KindName(StrEnum):
    APPLICATION = "application"
    CONFIGURATION = "configuration"
    SCHEMA = "schema"
    ROLE_BINDING = "role_binding"


@command(app, "list", prints=True)
def list_(
    session: Session,
    selection: Annotated[
        str | None,
        typer.Argument(
            metavar="APPLICATION[/NAME]",
            help="Only changes of this application, or of one of its configurations.",
            autocompletion=options.complete_keys,
        ),
    ] = None,
    actor: Annotated[str, typer.Option(metavar="ACTOR", help="Only changes by user:…, certificate:….")] = "",
    kind: Annotated[KindName | None, typer.Option(help="Only changes of this kind of resource.")] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Only changes of resources with this name.")] = "",
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only commits at or after this time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only commits before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Most results.")] = DEFAULT_LIMIT,
) -> None:
    """List changes, newest first: who changed what, when, and why."""
    application, _, resource = (selection or "").partition("/")
    request = pb.ListChangesRequest(
        actor=actor,
        application=pb.ApplicationRef(name=application) if application else None,
        kind=pb.ResourceKind.Value(f"RESOURCE_KIND_{kind.upper()}" if kind else "RESOURCE_KIND_UNSPECIFIED"),
        resource_name=name or resource,
        start_time=timestamp_of(since) if since else None,
        end_time=timestamp_of(until) if until else None,
    )
    calls = session.connection
    found = pages(lambda page: calls.call(calls.audit.ListChanges, page), request, "changes", limit)
    session.print_many(found, tables.CHANGES)
    if len(found) == limit:
        say(f"the newest {limit}; --limit shows more")
