"""The commands of role bindings."""

from enum import StrEnum
from typing import Annotated

import typer

from configsvc.cli import options, pb, tables
from configsvc.cli.commands import command, group
from configsvc.cli.failures import UsageError
from configsvc.cli.session import Session, pages

app = group()


class RoleName(StrEnum):
    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


@command(app, "list", prints=True)
def list_(
    session: Session,
    application: Annotated[
        str | None,
        typer.Argument(
            metavar="APPLICATION",
            help="Only roles for this application itself.",
            autocompletion=options.complete_applications,
        ),
    ] = None,
    principal: Annotated[
        str, typer.Option(metavar="PRINCIPAL", help="Only roles of user:…, group:… or certificate:….")
    ] = "",
    limit: options.Limit = None,
) -> None:
    """List role bindings."""
    calls = session.connection
    request = pb.ListRoleBindingsRequest(
        principal=principal, application=pb.ApplicationRef(name=application) if application else None, latest=True
    )
    found = pages(lambda page: calls.call(calls.access.ListRoleBindings, page), request, "role_bindings", limit)
    session.print_many(found, tables.ROLE_BINDINGS)


@command(app, "create", prints=True, changes=True)
def create(
    session: Session,
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="user:NAME, group:NAME or certificate:NAME.")],
    role: Annotated[RoleName, typer.Argument(metavar="ROLE", help="viewer, editor or admin.")],
    application: Annotated[
        str | None,
        typer.Argument(
            metavar="APPLICATION",
            help="Application that the role is for.",
            autocompletion=options.complete_applications,
        ),
    ] = None,
    all_applications: Annotated[
        bool, typer.Option("--all-applications", help="The role is for all applications, future ones too.")
    ] = False,
) -> None:
    """Give a principal a role, for one application or for all."""
    if (application is None) is not all_applications:
        raise UsageError("name one application, or --all-applications")
    calls = session.connection
    request = pb.CreateRoleBindingRequest(
        principal=principal,
        role=pb.Role.Value(f"ROLE_{role.upper()}"),
        application=pb.ApplicationRef(name=application) if application else None,
        all_applications=pb.Empty() if all_applications else None,
        **session.change(),
    )
    answer = calls.call(calls.access.CreateRoleBinding, request)
    where = application or "all applications"
    session.report(
        f"{principal} is {role} of {where} (revision {answer.revision})", f"would make {principal} {role} of {where}"
    )
    session.print_changed(answer.role_binding, tables.ROLE_BINDINGS)


@command(app, "delete", prints=True, changes=True)
def delete(
    session: Session,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Id of the role binding, from `access list`.")],
    ignore_missing: options.IgnoreMissing = False,
) -> None:
    """Take a role away.

    Streams that depend on it end within a second.
    """
    calls = session.connection
    request = pb.DeleteRoleBindingRequest(id=identifier, allow_missing=ignore_missing, **session.change())
    session.report_deletion(identifier, calls.call(calls.access.DeleteRoleBinding, request))
