"""The commands of schemas."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from configsvc.cli import options, pb, tables
from configsvc.cli.commands import command, group
from configsvc.cli.configurations import selector_of
from configsvc.cli.documents import compact_json, parse_document, parse_json, read_text
from configsvc.cli.failures import CliError, ExitCode, UsageError
from configsvc.cli.keys import schema_version_of
from configsvc.cli.output import Format, say
from configsvc.cli.session import Session, pages
from configsvc.cli.waiting import submitted

if TYPE_CHECKING:
    from configsvc.cli.documents import Json

app = group()

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name.", autocompletion=options.complete_schemas)]
AsWritten = Annotated[
    bool, typer.Option("--as-written", help="Keep the document as it is: do not close objects to other members.")
]
Pinned = Annotated[
    bool, typer.Option("--pinned", help="Leave configurations at their version, instead of moving them to the new one.")
]


@command(app, "list", prints=True)
def list_(
    session: Session,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Only names with this prefix.")] = "",
    limit: options.Limit = None,
) -> None:
    """List schemas."""
    calls = session.connection
    request = pb.ListSchemasRequest(name_prefix=prefix, latest=True)
    found = pages(lambda page: calls.call(calls.schemas.ListSchemas, page), request, "schemas", limit)
    session.print_many(found, tables.SCHEMAS)


@command(app, "get", prints=True)
def get(
    session: Session,
    schema: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]", help="Schema; its newest version.", autocompletion=options.complete_schemas
        ),
    ],
) -> None:
    """Print the document of a schema.

    With -o json and yaml, everything about the version.
    """
    ref = schema_version_of(schema)
    calls = session.connection
    request = pb.GetSchemaVersionRequest(
        name=ref.schema, version=ref.version, latest=True, format=pb.CONTENT_FORMAT_JSON
    )
    found = calls.call(calls.schemas.GetSchemaVersion, request).schema_version
    if session.output in {None, Format.TABLE}:
        say(f"{found.schema}@{found.version}")
        session.print_value(parse_json(found.document_json))
    else:
        session.print_one(found, tables.SCHEMA_VERSIONS)


@command(app, "history", prints=True)
def history(session: Session, schema: options.SchemaName, limit: options.Limit = None) -> None:
    """List the versions of a schema, newest first."""
    calls = session.connection
    request = pb.ListSchemaVersionsRequest(
        name=schema,
        latest=True,
        format=pb.CONTENT_FORMAT_JSON,
        view=pb.SCHEMA_VIEW_FULL if session.structured else pb.SCHEMA_VIEW_BASIC,
    )
    found = pages(lambda page: calls.call(calls.schemas.ListSchemaVersions, page), request, "versions", limit)
    session.print_many(found, tables.SCHEMA_VERSIONS)


@command(app, "create", prints=True, changes=True)
def create(
    session: Session,
    name: Name,
    file: options.File,
    comments: options.Comments = None,
    as_written: AsWritten = False,
) -> None:
    """Create a schema with the document of a file."""
    calls = session.connection
    request = pb.CreateSchemaRequest(
        name=name,
        comments=comments or "",
        document_json=compact_json(_document(file)),
        closing=_closing(as_written),
        **session.change(),
    )
    answer = calls.call(calls.schemas.CreateSchema, request)
    session.report(f"created {name}@1 (revision {answer.revision})", f"would create {name}@1")
    _tell_additions(answer)
    session.print_changed(answer.schema, tables.SCHEMAS)


@command(app, "apply", changes=True)
def apply(
    session: Session,
    name: Name,
    file: options.File,
    comments: options.Comments = None,
    as_written: AsWritten = False,
    pinned: Pinned = False,
) -> None:
    """Create a schema, or a new version of it.

    Does nothing if its newest version has this document.

    All configurations that are pinned to the schema move to the new version, which is refused if one would violate it.
    """
    calls = session.connection
    request = pb.ImportSchemasRequest(
        schemas=[pb.ImportedSchema(name=name, comments=comments or "", document_json=compact_json(_document(file)))],
        closing=_closing(as_written),
        mode=pb.SCHEMA_VERSION_MODE_PINNED if pinned else pb.SCHEMA_VERSION_MODE_STRICT,
        **session.change(),
    )
    answer = calls.call(calls.schemas.ImportSchemas, request)
    (made,) = answer.imports
    session.report(
        f"created {name}@{made.version} (revision {answer.revision})",
        f"would create {name}@{made.version}",
        changed=answer.changed,
    )
    _tell_additions(made)


@command(app, "check", prints=True)
def check(
    session: Session,
    name: options.SchemaName,
    file: options.File,
    as_written: AsWritten = False,
) -> None:
    """Show the configurations that would violate a new version.

    Exits with 7 if there are any.
    """
    calls = session.connection
    request = pb.CheckSchemaVersionRequest(
        name=name, document_json=compact_json(_document(file)), closing=_closing(as_written), latest=True
    )
    answer = calls.call(calls.schemas.CheckSchemaVersion, request)
    if session.structured:
        session.print_one(answer, tables.SCHEMA_VERSIONS)
    else:
        _print_check(answer, names_only=session.output is Format.NAME)
    if answer.offender_count:
        raise CliError(
            f"{answer.offender_count} of {answer.checked_count} configurations would violate it", ExitCode.INVALID
        )
    say(f"{answer.checked_count} configurations would satisfy it")


def _print_check(answer: "pb.CheckSchemaVersionResponse", *, names_only: bool) -> None:
    for offender in answer.offenders:
        typer.echo(f"{offender.application}/{offender.name}")
        for fault in () if names_only else offender.faults:
            typer.echo(f"  {fault.pointer or 'the content'}: {fault.message}")
    if not answer.backward_compatible and not names_only:
        say("not proven to be backward compatible:")
        for part in answer.incompatibilities:
            say(f"  {part.pointer or 'the document'}: {part.message}")


@command(app, "migrate", prints=True, changes=True)
def migrate(
    session: Session,
    schema: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]",
            help="Schema, and the version to move to; its newest version.",
            autocompletion=options.complete_schemas,
        ),
    ],
    selection: options.Selection = None,
    everything: Annotated[bool, typer.Option("--all", help="The configurations of all applications.")] = False,
    patch: Annotated[
        str | None, typer.Option(metavar="JSON", help="JSON Patch or merge patch of each content.")
    ] = None,
    valid_only: Annotated[bool, typer.Option("--valid-only", help="Move those that can be moved.")] = False,
    wait: options.Wait = False,
) -> None:
    """Move configurations to another version of a schema.

    They move in the background. Prints the operation's id, unless --wait is given.
    """
    if (selection is None) is not everything:
        raise UsageError("name an application, or --all")
    ref = schema_version_of(schema)
    chosen: dict[str, Any] = {"all_configurations": pb.Empty()} if everything else {"selector": selector_of(selection)}
    calls = session.connection
    request = pb.MigrateConfigurationsRequest(
        schema=ref.schema,
        to_version=ref.version,
        valid_only=valid_only,
        **chosen,
        **_patch(patch),
        **session.change(),
    )
    submitted(session, calls.call(calls.schemas.MigrateConfigurations, request), wait=wait)


def _patch(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    patch = parse_document(text, "--patch")
    return {"json_patch_json" if isinstance(patch, list) else "merge_patch_json": compact_json(patch)}


@command(app, "delete", prints=True, changes=True)
def delete(
    session: Session,
    name: options.SchemaName,
    yes: options.Yes = False,
    ignore_missing: options.IgnoreMissing = False,
) -> None:
    """Delete a schema with all of its versions.

    It cannot be brought back.
    """
    if not (yes or session.dry_run):
        session.confirm(f"delete the schema {name} with all of its versions")
    calls = session.connection
    request = pb.DeleteSchemaRequest(name=name, allow_missing=ignore_missing, **session.change())
    session.report_deletion(name, calls.call(calls.schemas.DeleteSchema, request))


def _document(file: str) -> "Json":
    return parse_document(read_text(file), file)


def _closing(as_written: bool) -> "Any":
    return pb.CLOSING_AS_WRITTEN if as_written else pb.CLOSING_CLOSED


def _tell_additions(answer: Any) -> None:
    if answer.addition_count:
        say(f"closed {answer.addition_count} objects to other members; --as-written leaves them open")
