"""The commands of configurations."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configsvc.cli import options, pb, tables
from configsvc.cli.commands import command, group
from configsvc.cli.documents import compact_json, parse_document, parse_json, read_text
from configsvc.cli.failures import UsageError
from configsvc.cli.keys import (
    key_of,
    key_text,
    moment_of,
    pointer_of,
    schema_text,
    schema_version_of,
    value_at,
)
from configsvc.cli.output import Format, print_pairs, safe
from configsvc.cli.plain import time_text
from configsvc.cli.session import Session, pages

if TYPE_CHECKING:
    from configsvc.cli.documents import Json

app = group()


@command(app, "list", prints=True)
def list_(
    session: Session,
    selection: options.Selection = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]", help="Only those pinned to it.", autocompletion=options.complete_schemas
        ),
    ] = None,
    contains: Annotated[
        str | None, typer.Option(metavar="JSON", help="Only contents that contain this object.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="JSONPATH", help="Only contents that satisfy it, such as '$.replicas > 3'.")
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted ones instead.")] = False,
    at: options.At = None,
    limit: options.Limit = None,
) -> None:
    """List configurations; with -o json and yaml, with contents."""
    request = pb.ListConfigurationsRequest(
        selector=selector_of(selection, schema=schema, contains=contains, where=where),
        view=pb.CONFIGURATION_VIEW_FULL if session.structured else pb.CONFIGURATION_VIEW_BASIC,
        format=pb.CONTENT_FORMAT_JSON,
        show_deleted=deleted,
        **moment_of(at),
    )
    calls = session.connection
    found = pages(
        lambda page: calls.call(calls.configurations.ListConfigurations, page),
        request,
        "configurations",
        None if deleted else limit,
    )
    if deleted:
        found = [one for one in found if one.HasField("delete_time")][:limit]
    session.print_many(found, tables.DELETED_CONFIGURATIONS if deleted else tables.CONFIGURATIONS)


def selector_of(
    selection: str | None, *, schema: str | None = None, contains: str | None = None, where: str | None = None
) -> "pb.ConfigurationSelector":
    """Parse APPLICATION, APPLICATION/NAME, APPLICATION/FOLDER/ or APPLICATION/PREFIX*. Raises UsageError."""
    application, slash, name = (selection or "").partition("/")
    if slash and not application:
        raise UsageError(f"{selection!r} names no application: write APPLICATION/NAME")
    prefix = name.endswith(("/", "*"))
    contained: dict[str, Any] = (
        {} if contains is None else {"contains_json": compact_json(parse_document(contains, "--contains"))}
    )
    return pb.ConfigurationSelector(
        application=pb.ApplicationRef(name=application) if application else None,
        name_prefix=name.removesuffix("*") if prefix else "",
        names=[name] if name and not prefix else [],
        schema=schema_version_of(schema) if schema else None,
        json_path=where or "",
        **contained,
    )


@command(app, "get", prints=True)
def get(
    session: Session,
    key: options.Key,
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="JSON Pointer: print this value only; / is the whole content."),
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, metavar="VERSION", help="This version.")] = None,
    at: options.At = None,
) -> None:
    """Print a configuration, or the part of its content at PATH."""
    if version is not None and at is not None:
        raise UsageError("--version and --at exclude each other")
    found = fetch(session, key, **({"version": version} if version is not None else moment_of(at)))
    if path is not None:
        print_part(session, value_at(parse_json(found.config_json), pointer_of(path), key_text(found)))
    elif session.output in {None, Format.TABLE}:
        _print_configuration(session, found)
    else:
        session.print_one(found, tables.CONFIGURATIONS)


def print_part(session: Session, value: "Json") -> None:
    """Print a part of a content; a string, unless -o is given or a terminal shows it, as it is, for scripts."""
    if isinstance(value, str) and session.output is None:
        # Not typer.echo, which leaves out escape sequences where it shows no colours.
        sys.stdout.write((safe(value) if sys.stdout.isatty() else value) + "\n")
    else:
        session.print_value(value)


def _print_configuration(session: Session, found: "pb.Configuration") -> None:
    print_pairs(
        (
            ("key", key_text(found)),
            ("id", found.id),
            ("version", found.version),
            ("schema", schema_text(found.schema)),
            ("comments", found.comments),
            ("updated", f"{time_text(found.update_time)} by {found.updated_by}"),
        )
    )
    typer.echo()
    session.print_value(parse_json(found.config_json))


def fetch(session: Session, key: str, **moment: Any) -> "pb.Configuration":
    """Return a configuration with its content as JSON text. Raises CliError."""
    request = pb.GetConfigurationRequest(key=key_of(key), format=pb.CONTENT_FORMAT_JSON, **(moment or {"latest": True}))
    calls = session.connection
    return calls.call(calls.configurations.GetConfiguration, request).configuration


@command(app, "create", prints=True, changes=True)
def create(
    session: Session,
    key: options.Key,
    file: options.File,
    schema: options.Schema = None,
    comments: options.Comments = None,
) -> None:
    """Create a configuration with the content of a file."""
    content = parse_document(read_text(file), file)
    create_configuration(session, key, content, schema=schema_ref(schema), comments=comments or "")


def create_configuration(
    session: Session, key: str, content: "Json", *, schema: "pb.SchemaVersionRef | None", comments: str
) -> None:
    """Create a configuration, and report it."""
    named = key_of(key)
    request = pb.CreateConfigurationRequest(
        application=pb.ApplicationRef(name=named.application),
        name=named.name,
        comments=comments,
        config_json=compact_json(content),
        schema=schema,
        format=pb.CONTENT_FORMAT_JSON,
        **session.change(),
    )
    calls = session.connection
    answer = calls.call(calls.configurations.CreateConfiguration, request)
    session.report(f"created {key}, version 1 (revision {answer.revision})", f"would create {key}")
    session.print_changed(answer.configuration, tables.CONFIGURATIONS)


def schema_ref(schema: str | None) -> "pb.SchemaVersionRef | None":
    """Parse an optional schema."""
    return schema_version_of(schema) if schema else None


@command(app, "apply", prints=True, changes=True)
def apply(
    session: Session,
    key: options.Key,
    file: options.File,
    schema: options.Schema = None,
    comments: options.Comments = None,
    expected_version: options.ExpectedVersion = None,
) -> None:
    """Create a configuration, or replace its content.

    Schema and comments stay unless they are given.
    """
    content = parse_document(read_text(file), file)
    values: dict[str, Any] = {"config_json": compact_json(content)}
    if schema is not None:
        values["schema"] = schema_version_of(schema)
    if comments is not None:
        values["comments"] = comments
    mask = ["config" if name == "config_json" else name for name in values]
    update(session, key, values, mask, expected_version=expected_version, allow_missing=True)


def update(
    session: Session, key: str, values: dict[str, Any], mask: list[str], *, expected_version: int | None, **more: Any
) -> "pb.Configuration":
    """Update a configuration, and report it. Raises CliError."""
    request = pb.UpdateConfigurationRequest(
        key=key_of(key),
        configuration=pb.Configuration(**values),
        update_mask=pb.FieldMask(paths=mask),
        expected_version=expected_version,
        format=pb.CONTENT_FORMAT_JSON,
        **more,
        **session.change(),
    )
    calls = session.connection
    answer = calls.call(calls.configurations.UpdateConfiguration, request)
    report_written(session, answer)
    session.print_changed(answer.configuration, tables.CONFIGURATIONS)
    return answer.configuration


def report_written(session: Session, answer: Any) -> None:
    """Say what became of a configuration."""
    key, version = key_text(answer.configuration), answer.configuration.version
    done = "created" if version == 1 else "changed"
    session.report(
        f"{done} {key}, version {version} (revision {answer.revision})",
        f"would {'create' if version == 1 else 'change'} {key} (version {version})",
        changed=answer.changed,
    )


@command(app, "update", prints=True, changes=True)
def update_(
    session: Session,
    key: options.Key,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="New name within its application.")] = None,
    schema: options.Schema = None,
    no_schema: Annotated[bool, typer.Option("--no-schema", help="Unpin it from its schema.")] = False,
    comments: options.Comments = None,
    expected_version: options.ExpectedVersion = None,
) -> None:
    """Change name, schema or comments of a configuration."""
    if schema and no_schema:
        raise UsageError("--schema and --no-schema exclude each other")
    values: dict[str, Any] = {"name": name, "comments": comments, "schema": schema_ref(schema)}
    values = {field: value for field, value in values.items() if value is not None}
    mask = [*values, *(["schema"] if no_schema else [])]
    if not mask:
        raise UsageError("nothing to change: give --name, --schema, --no-schema or --comments")
    update(session, key, values, mask, expected_version=expected_version)


@command(app, "delete", prints=True, changes=True)
def delete(
    session: Session,
    key: options.Key,
    expected_version: options.ExpectedVersion = None,
    ignore_missing: options.IgnoreMissing = False,
) -> None:
    """Delete a configuration. `undelete` brings it back."""
    request = pb.DeleteConfigurationRequest(
        key=key_of(key), expected_version=expected_version, allow_missing=ignore_missing, **session.change()
    )
    calls = session.connection
    answer = calls.call(calls.configurations.DeleteConfiguration, request)
    session.report_deletion(key, answer)


@command(app, "undelete", prints=True, changes=True)
def undelete(session: Session, key: options.Key) -> None:
    """Restore a deleted configuration with its history."""
    request = pb.UndeleteConfigurationRequest(key=key_of(key), format=pb.CONTENT_FORMAT_JSON, **session.change())
    _print_restored(session, session.connection.configurations.UndeleteConfiguration, request, "restored", "restore")


@command(app, "rollback", prints=True, changes=True)
def rollback(
    session: Session,
    key: options.Key,
    version: Annotated[int, typer.Argument(min=1, metavar="VERSION", help="Version to go back to.")],
    expected_version: options.ExpectedVersion = None,
) -> None:
    """Make an earlier version the newest one again."""
    request = pb.RollbackConfigurationRequest(
        key=key_of(key),
        version=version,
        expected_version=expected_version,
        format=pb.CONTENT_FORMAT_JSON,
        **session.change(),
    )
    method = session.connection.configurations.RollbackConfiguration
    _print_restored(session, method, request, f"rolled back to version {version}:", "roll back")


def _print_restored(session: Session, method: Any, request: Any, done: str, would: str) -> None:
    answer = session.connection.call(method, request)
    key, version = key_text(answer.configuration), answer.configuration.version
    session.report(
        f"{done} {key}, version {version} (revision {answer.revision})", f"would {would} {key}", changed=answer.changed
    )
    session.print_changed(answer.configuration, tables.CONFIGURATIONS)


@command(app, "copy", prints=True, changes=True)
def copy(
    session: Session,
    source: options.Key,
    target: options.Key,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the target if it exists.")] = False,
) -> None:
    """Copy a configuration to another key.

    Content, schema and comments are copied; the history is not.
    """
    key_of(target)
    found = fetch(session, source)
    schema = found.schema if found.HasField("schema") else None
    content = parse_json(found.config_json)
    if not replace:
        create_configuration(session, target, content, schema=schema, comments=found.comments)
        return
    values: dict[str, Any] = {"config_json": found.config_json, "comments": found.comments, "schema": schema}
    update(session, target, values, ["config", "comments", "schema"], expected_version=None, allow_missing=True)
