"""Rows of configurations as the domain knows them."""

from asyncpg import Record

from configsvc.domain.models import Configuration, ConfigurationChange, Operation, SchemaVersionRef
from configsvc.domain.stored_json import Content


def schema_of(row: Record) -> SchemaVersionRef | None:
    """Return the schema version that the row of a configuration is pinned to."""
    if row["schema"] is None:
        return None
    return SchemaVersionRef(schema=row["schema"], version=row["schema_version"])


def configuration_of(row: Record, config: str | None) -> Configuration:
    """Return the configuration in a row, with config beside it, as text: not every statement reads it."""
    return Configuration(
        id=row["id"],
        application_id=row["application_id"],
        application=row["application"],
        name=row["name"],
        comments=row["comments"],
        config=None if config is None else Content(None, config),
        schema=schema_of(row),
        version=row["version"],
        revision=row["revision"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        created_by=row["created_by"],
        updated_by=row["updated_by"],
    )


def change_of(row: Record) -> ConfigurationChange:
    """Return the change of a configuration in a row of the log."""
    return ConfigurationChange(
        operation=Operation(row["operation"]),
        configuration=configuration_of(row, None),
        config_text=row["config_text"],
        content_bytes=row["content_bytes"],
        previous_version=row["previous_version"],
        previous_application_id=row["previous_application_id"],
        previous_application=row["previous_application"],
        previous_name=row["previous_name"],
        actor=row["updated_by"],
        reason=row["reason"],
        request_id=row["request_id"],
        change_request=row["change_request"] or "",
    )
