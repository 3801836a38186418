"""Planned writes, as group commits make them."""

from datetime import UTC, datetime
from typing import Any

from ulid import ULID

from configsvc.domain.models import Configuration, Operation, Origin, SchemaVersionRef, WriteContext
from configsvc.domain.scope import Everything
from configsvc.domain.writes import Planned
from configsvc.storage.group_commits import GroupWrite
from configsvc.storage.rows import configuration_of
from tests.storage.reading import Session


def context_of(request_id: str = "") -> WriteContext:
    """Return the context of a caller."""
    return WriteContext(
        actor="user:ann",
        origin=Origin(peer="192.0.2.1", change_request="CR-1"),
        reason="because",
        request_id=request_id,
        fingerprint=b"x",
        validate_only=False,
        scope=Everything(),
    )


def planned(
    operation: Operation, left: Configuration, request_id: str = "", *, config: str | None = '{"n": 1}', **fields: Any
) -> GroupWrite:
    """Return a write that leaves a configuration so."""
    context = context_of(request_id)
    one = Planned(configuration=left, config_text=config, context=context)
    return GroupWrite(operation=operation, planned=one, context=context, **fields)


async def current(session: Session, configuration_id: str) -> Configuration:
    """Return a configuration, without its revision and config."""
    row = await session.fetchrow("SELECT *, 1 AS revision FROM configurations WHERE id = $1", configuration_id)
    assert row is not None
    return configuration_of(row, None)


def new(
    application_id: str, name: str, application: str = "shop", schema: SchemaVersionRef | None = None
) -> Configuration:
    """Return a configuration to create."""
    moment = datetime.now(UTC)
    return Configuration(
        id=str(ULID()),
        application_id=application_id,
        application=application,
        name=name,
        comments="",
        config=None,
        schema=schema,
        version=0,
        revision=0,
        create_time=moment,
        update_time=moment,
        created_by="",
        updated_by="",
    )
