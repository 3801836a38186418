"""The commands of applications."""

from typing import Annotated, Any

import typer

from configsvc.cli import options, pb, tables
from configsvc.cli.commands import command, group
from configsvc.cli.failures import UsageError
from configsvc.cli.session import Session, pages

app = group()


@command(app, "list", prints=True)
def list_(
    session: Session,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Only names with this prefix.")] = "",
    limit: options.Limit = None,
) -> None:
    """List applications."""
    calls = session.connection
    request = pb.ListApplicationsRequest(name_prefix=prefix, latest=True)
    found = pages(lambda page: calls.call(calls.applications.ListApplications, page), request, "applications", limit)
    session.print_many(found, tables.APPLICATIONS)


@command(app, "get", prints=True)
def get(session: Session, name: options.Application) -> None:
    """Print an application."""
    calls = session.connection
    answer = calls.call(calls.applications.GetApplication, pb.GetApplicationRequest(name=name, latest=True))
    session.print_one(answer.application, tables.APPLICATIONS)


@command(app, "create", prints=True, changes=True)
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name.")],
    comments: options.Comments = None,
) -> None:
    """Create an application."""
    calls = session.connection
    request = pb.CreateApplicationRequest(name=name, comments=comments or "", **session.change())
    answer = calls.call(calls.applications.CreateApplication, request)
    session.report(f"created {name} (revision {answer.revision})", f"would create {name}", changed=answer.changed)
    session.print_changed(answer.application, tables.APPLICATIONS)


@command(app, "apply", prints=True, changes=True)
def apply(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name.")],
    comments: options.Comments = None,
) -> None:
    """Create an application, or change its comments."""
    fields = {} if comments is None else {"comments": comments}
    _update(session, name, fields, allow_missing=True)


@command(app, "update", prints=True, changes=True)
def update(
    session: Session,
    application: options.Application,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="New name.")] = None,
    comments: options.Comments = None,
    expected_version: options.ExpectedVersion = None,
) -> None:
    """Change the name or the comments of an application."""
    given = {"name": name, "comments": comments}
    fields = {field: value for field, value in given.items() if value is not None}
    if not fields:
        raise UsageError("nothing to change: give --name or --comments")
    _update(session, application, fields, expected_version=expected_version)


def _update(session: Session, application: str, fields: dict[str, Any], **more: Any) -> None:
    calls = session.connection
    request = pb.UpdateApplicationRequest(
        name=application,
        application=pb.Application(**fields),
        update_mask=pb.FieldMask(paths=list(fields)),
        **more,
        **session.change(),
    )
    answer = calls.call(calls.applications.UpdateApplication, request)
    verb = "create" if answer.application.version == 1 else "change"
    session.report(
        f"{verb}d {answer.application.name} (revision {answer.revision})",
        f"would {verb} {application}",
        changed=answer.changed,
    )
    session.print_changed(answer.application, tables.APPLICATIONS)


@command(app, "delete", prints=True, changes=True)
def delete(
    session: Session,
    name: options.Application,
    force: Annotated[bool, typer.Option("--force", help="Delete its configurations too, in the same commit.")] = False,
    yes: options.Yes = False,
    expected_version: options.ExpectedVersion = None,
    ignore_missing: options.IgnoreMissing = False,
) -> None:
    """Delete an application. It cannot be brought back."""
    if not (yes or session.dry_run):
        session.confirm(f"delete the application {name}{' with all of its configurations' if force else ''}")
    calls = session.connection
    request = pb.DeleteApplicationRequest(
        name=name,
        force=force,
        expected_version=expected_version,
        allow_missing=ignore_missing,
        **session.change(),
    )
    answer = calls.call(calls.applications.DeleteApplication, request)
    session.report_deletion(name, answer)
