"""The tables of the resources."""

from typing import Any

from configsvc.cli import pb
from configsvc.cli.keys import key_text, schema_text
from configsvc.cli.output import Column, Table
from configsvc.cli.plain import time_text, word


def _name(message: Any) -> str:
    return message.name


CONFIGURATIONS = Table(
    (
        Column("KEY", key_text),
        Column("VERSION", lambda found: found.version),
        Column("SCHEMA", lambda found: schema_text(found.schema)),
        Column("UPDATED", lambda found: time_text(found.update_time)),
        Column("BY", lambda found: found.updated_by),
        Column("COMMENTS", lambda found: found.comments),
    ),
    key_text,
)
DELETED_CONFIGURATIONS = Table(
    (*CONFIGURATIONS.columns[:4], Column("DELETED", lambda found: time_text(found.delete_time))), key_text
)
VERSIONS = Table(
    (
        Column("VERSION", lambda found: found.configuration.version),
        Column("CHANGE", lambda found: word(pb.ChangeType.Name(found.type))),
        Column("TIME", lambda found: time_text(found.origin.commit_time)),
        Column("BY", lambda found: found.origin.actor),
        Column("SCHEMA", lambda found: schema_text(found.configuration.schema)),
        Column("CHANGE REQUEST", lambda found: found.origin.change_request),
        Column("REASON", lambda found: found.origin.reason),
    ),
    lambda found: str(found.configuration.version),
)
APPLICATIONS = Table(
    (
        Column("NAME", _name),
        Column("VERSION", lambda found: found.version),
        Column("UPDATED", lambda found: time_text(found.update_time)),
        Column("COMMENTS", lambda found: found.comments),
    ),
    _name,
)
SCHEMAS = Table(
    (
        Column("NAME", _name),
        Column("LATEST", lambda found: found.latest_version),
        Column("UPDATED", lambda found: time_text(found.update_time)),
        Column("COMMENTS", lambda found: found.comments),
    ),
    _name,
)
SCHEMA_VERSIONS = Table(
    (
        Column("VERSION", lambda found: found.version),
        Column("CREATED", lambda found: time_text(found.create_time)),
        Column("BY", lambda found: found.created_by),
        Column("REVISION", lambda found: found.revision),
    ),
    lambda found: f"{found.schema}@{found.version}",
)
ROLE_BINDINGS = Table(
    (
        Column("ID", lambda found: found.id),
        Column("PRINCIPAL", lambda found: found.principal),
        Column("ROLE", lambda found: word(pb.Role.Name(found.role))),
        Column("APPLICATION", lambda found: found.application.name or "(all)"),
        Column("CREATED", lambda found: time_text(found.create_time)),
        Column("BY", lambda found: found.created_by),
    ),
    lambda found: found.id,
)
CHANGES = Table(
    (
        Column("REVISION", lambda found: found.revision),
        Column("TIME", lambda found: time_text(found.origin.commit_time)),
        Column("CHANGE", lambda found: word(pb.ChangeType.Name(found.type))),
        Column("KIND", lambda found: pb.ResourceKind.Name(found.kind).removeprefix("RESOURCE_KIND_").lower()),
        Column("RESOURCE", lambda found: key_text(found) if found.application else found.name),
        Column("BY", lambda found: found.origin.actor),
        Column("CHANGE REQUEST", lambda found: found.origin.change_request),
        Column("REASON", lambda found: found.origin.reason),
    ),
    lambda found: key_text(found) if found.application else found.name,
)


def metadata_of(operation: "pb.Operation") -> "pb.OperationMetadata":
    """Return the metadata of an operation."""
    metadata = pb.OperationMetadata()
    operation.metadata.Unpack(metadata)
    return metadata


def operation_id(operation: "pb.Operation") -> str:
    """Return the id of an operation, which its name ends with."""
    return operation.name.removeprefix("operations/")


def progress_text(operation: "pb.Operation") -> str:
    """Return how much of an operation is done."""
    metadata = metadata_of(operation)
    failed = f", {metadata.failed_count} failed" if metadata.failed_count else ""
    return f"{metadata.done_count}/{metadata.total_count}{failed}"


OPERATIONS = Table(
    (
        Column("ID", operation_id),
        Column("KIND", lambda found: pb.OperationMetadata.Kind.Name(metadata_of(found).kind).split("_")[1].lower()),
        Column("STATE", lambda found: word(pb.OperationMetadata.State.Name(metadata_of(found).state))),
        Column("ITEMS", progress_text),
        Column("STARTED", lambda found: time_text(metadata_of(found).create_time)),
        Column("BY", lambda found: metadata_of(found).actor),
        Column("REASON", lambda found: metadata_of(found).reason),
    ),
    operation_id,
)
ITEMS = Table(
    (
        Column("ITEM", lambda found: found.index),
        Column("KEY", key_text),
        Column(
            "RESULT",
            lambda found: (
                "failed"
                if found.HasField("error")
                else word(pb.ChangeType.Name(found.type)).replace("unspecified", "unchanged")
            ),
        ),
        Column("ERROR", lambda found: found.error.message),
    ),
    key_text,
)
