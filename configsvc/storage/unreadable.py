"""Records of the log that cannot be read whole, such as bytes that are no text."""

from collections.abc import Sequence

import asyncpg

from configsvc.domain.commits import Commit, Position, Record
from configsvc.domain.errors import unreadable_revision
from configsvc.domain.models import Configuration, ConfigurationChange, Kind, Operation
from configsvc.storage.queries import queries
from configsvc.storage.rows import change_of
from configsvc.storage.sessions import Connection

ACCESS_KINDS = frozenset({Kind.APPLICATION, Kind.ROLE_BINDING})
# Raised by asyncpg for values that are no text, or no time of Python; and by PostgreSQL for damaged pages.
UNREADABLE = (ValueError, OverflowError, asyncpg.DataError, asyncpg.InternalServerError)

_SQL = queries("log")


def around(outer: str, statement: str) -> str:
    """Return a statement that selects from another one, so that what cannot be read stays in the server."""
    return outer.replace(":page", statement.rstrip().removesuffix(";"))


async def readable_records(connection: Connection, places: Sequence[asyncpg.Record]) -> list[Record]:
    """Return a record for each of the places. Raises RevisionCompactedError."""
    places = [place for place in places if place["revision"] is not None]
    changes = await _changes(connection, places)
    return [_record(place, *changes[place["commit_id"], place["ordinal"]]) for place in places]


async def _changes(
    connection: Connection, places: Sequence[asyncpg.Record]
) -> dict[tuple[int, int], tuple[ConfigurationChange | None, bool]]:
    """Return the change at each place, and whether it was read whole; halve the places until the bad one is alone."""
    try:
        return await _whole_changes(connection, places)
    except UNREADABLE:
        if len(places) == 1:
            place = places[0]
            return {(place["commit_id"], place["ordinal"]): (await _named_change(connection, place), False)}
    middle = len(places) // 2
    return await _changes(connection, places[:middle]) | await _changes(connection, places[middle:])


async def _whole_changes(
    connection: Connection, places: Sequence[asyncpg.Record]
) -> dict[tuple[int, int], tuple[ConfigurationChange | None, bool]]:
    kinds = {(place["commit_id"], place["ordinal"]): place["kind"] for place in places}
    rows = await connection.fetch(
        _SQL["records_at"], [commit for commit, _ in kinds], [ordinal for _, ordinal in kinds]
    )
    keys = ((row["commit_id"], row["ordinal"]) for row in rows)
    return {
        key: (change_of(row) if kinds[key] == Kind.CONFIGURATION else None, True)
        for key, row in zip(keys, rows, strict=True)
    }


async def _named_change(connection: Connection, place: asyncpg.Record) -> ConfigurationChange | None:
    if place["kind"] != Kind.CONFIGURATION:
        return None
    try:
        row = await connection.fetchrow(_SQL["names_at"], place["commit_id"], place["ordinal"])
    except UNREADABLE as error:
        raise unreadable_revision(place["revision"]) from error
    assert row is not None
    return ConfigurationChange(
        operation=Operation(row["operation"]),
        configuration=_named_configuration(place, row),
        config_text=None,
        content_bytes=0,
        previous_version=row["previous_version"],
        previous_application_id=row["previous_application_id"],
        previous_application=row["previous_application"],
        previous_name=row["previous_name"],
        actor="",
        reason="",
        request_id="",
        change_request="",
        is_readable=False,
    )


def _named_configuration(place: asyncpg.Record, row: asyncpg.Record) -> Configuration:
    return Configuration(
        id=row["id"],
        application_id=row["application_id"],
        application=row["application"],
        name=row["name"],
        comments="",
        config=None,
        schema=None,
        version=row["version"],
        revision=place["revision"],
        create_time=place["commit_time"],
        update_time=place["commit_time"],
        created_by="",
        updated_by="",
    )


def _record(place: asyncpg.Record, change: ConfigurationChange | None, is_readable: bool) -> Record:
    return Record(
        position=Position(revision=place["revision"], ordinal=place["ordinal"]),
        commit=Commit(revision=place["revision"], id=place["commit_id"], time=place["commit_time"]),
        change=change,
        concerns_access=place["kind"] in ACCESS_KINDS,
        content_bytes=place["content_bytes"],
        is_last=place["is_last"],
        is_readable=is_readable,
    )
